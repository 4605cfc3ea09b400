/** Length checks at the start of every kernel, so that its loops need none. */

/**
 * Throws a `RangeError` unless every array has as many elements as `shape` asks for.
 * The message is `Cannot use x_TD: expected 15 elements for shape (T=3, D=5), got 14`.
 */
export function checkLengths(
  arrays: Readonly<Record<string, { readonly length: number }>>,
  shape: Readonly<Record<string, number>>,
): void {
  let expected = 1;
  for (const dim in shape) expected *= shape[dim];
  for (const name in arrays) {
    if (arrays[name].length !== expected) {
      const dims = Object.entries(shape).map(([dim, size]) => `${dim}=${size}`);
      throw new RangeError(
        `Cannot use ${name}: expected ${expected} elements for shape (${dims.join(", ")}), got ${arrays[name].length}`,
      );
    }
  }
}
