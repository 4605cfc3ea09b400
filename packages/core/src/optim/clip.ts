/** Clipping by the norm over all parameters (Pascanu et al., arXiv:1211.5063), as torch.nn.utils.clip_grad_norm_ does. */

/** Euclidean norm, summed in float64 in index order. */
export function globalNorm(gradient: Float32Array): number {
  let sumSquares = 0;
  for (let i = 0; i < gradient.length; i++) sumSquares += gradient[i] * gradient[i];
  return Math.sqrt(sumSquares);
}

/** Scales `gradient` in place by min(1, maxNorm / (norm + 1e-6)); returns the norm before. */
export function clipByGlobalNorm(gradient: Float32Array, maxNorm: number): number {
  const norm = globalNorm(gradient);
  const factor = maxNorm / (norm + 1e-6);
  if (factor < 1) for (let i = 0; i < gradient.length; i++) gradient[i] *= factor;
  return norm;
}
