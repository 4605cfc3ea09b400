/** Clipping by the norm over all parameters (Pascanu et al., arXiv:1211.5063), as torch.nn.utils.clip_grad_norm_ does. */

/** Euclidean norm, summed in float64 in index order. */
export function globalNorm(gradient: Float32Array): number {
  let sumSquares = 0;
  for (let i = 0; i < gradient.length; i++) sumSquares += gradient[i] * gradient[i];
  return Math.sqrt(sumSquares);
}

/** Multiplies in place. */
export function scale(gradient: Float32Array, factor: number): void {
  for (let i = 0; i < gradient.length; i++) gradient[i] *= factor;
}

/**
 * Scales `gradient` in place by min(1, maxNorm / (norm + 1e-6)); returns the norm before.
 *
 * @param arithmetic takes the place of the loops here, with the same bits. @default plain loops
 * @example
 * const norm = clipByGlobalNorm(gradient, 1);
 */
export function clipByGlobalNorm(
  gradient: Float32Array,
  maxNorm: number,
  arithmetic: { readonly globalNorm: typeof globalNorm; readonly scale: typeof scale } = { globalNorm, scale },
): number {
  const norm = arithmetic.globalNorm(gradient);
  const factor = maxNorm / (norm + 1e-6);
  if (factor < 1) arithmetic.scale(gradient, factor);
  return norm;
}
