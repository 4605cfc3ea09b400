/** What all processes of a machine call a GPU. */

/**
 * Returns the name of the GPU that a process calls `ordinal`: one that sees some of the GPUs only counts them from 0, and
 * `CUDA_VISIBLE_DEVICES` says which they are.
 *
 * @example sharedName(0, { CUDA_VISIBLE_DEVICES: "4,5" }) // "GPU 4"
 */
export function sharedName(ordinal: number, env: Readonly<Record<string, string | undefined>>): string {
  const visible = env["CUDA_VISIBLE_DEVICES"]?.split(",");
  return `GPU ${visible?.[ordinal]?.trim() || ordinal}`;
}
