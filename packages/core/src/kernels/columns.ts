/** The columns of rows, cut in two or put together: numbers keep their bits. */
import { checkLengths } from "../shape.ts";

type Size = { T: number; A: number; B: number; X: number };

/** X is A + B. */
export function checkColumns({ A, B, X }: Readonly<Record<string, number>>): void {
  if (A + B !== X) throw new RangeError(`Cannot cut rows of ${X} numbers into ${A} and ${B}: they must add up`);
}

/** Row t of `x` is row t of `a`, then row t of `b`. */
export function splitColumns(
  out: { a_TA: Float32Array; b_TB: Float32Array },
  { x_TX }: { x_TX: Float32Array },
  { T, A, B, X }: Size,
): void {
  const { a_TA, b_TB } = out;
  checkColumns({ A, B, X });
  checkLengths({ x_TX }, { T, X });
  checkLengths({ a_TA }, { T, A });
  checkLengths({ b_TB }, { T, B });
  for (let t = 0; t < T; t++) {
    a_TA.set(x_TX.subarray(t * X, t * X + A), t * A);
    b_TB.set(x_TX.subarray(t * X + A, (t + 1) * X), t * B);
  }
}

/** The other way round. */
export function joinColumns(
  out: { x_TX: Float32Array },
  { a_TA, b_TB }: { a_TA: Float32Array; b_TB: Float32Array },
  { T, A, B, X }: Size,
): void {
  const { x_TX } = out;
  checkColumns({ A, B, X });
  checkLengths({ x_TX }, { T, X });
  checkLengths({ a_TA }, { T, A });
  checkLengths({ b_TB }, { T, B });
  for (let t = 0; t < T; t++) {
    x_TX.set(a_TA.subarray(t * A, (t + 1) * A), t * X);
    x_TX.set(b_TB.subarray(t * B, (t + 1) * B), t * X + A);
  }
}
