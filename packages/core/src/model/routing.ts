/**
 * Which experts a token goes to, on the host in float64 (Shazeer et al. 2017, arXiv:1701.06538 §2.1, with a softmax before the choice):
 * the k largest of p = softmax(z), the lower index if two are equal. Which ones is a constant; their weights depend on z.
 *
 *   w_e = p_e, or p_e / Σ_chosen p if they are normalized
 *   dz_j = p_j · (dp_j − Σ_e dp_e·p_e) over all experts, or over the chosen ones of w alone
 *
 * T tokens, E experts, P = T·k pairs of a token and an expert, by experts ascending, and tokens ascending in each.
 */
import type { ExpertsConfig } from "./config.ts";

/** The choice for some tokens. */
export interface Routing {
  readonly tokenOf_P: Int32Array;
  /** Where the pairs of each expert begin, `[E + 1]`. */
  readonly bounds: Int32Array;
  readonly weight_P: Float32Array;
  /** `p`, or the weights of the chosen ones and 0 for others if they are normalized, `[T, E]`. */
  readonly share_TE: Float64Array;
}

type RouterSize = Pick<ExpertsConfig, "count" | "perToken" | "isNormalized">;

/** Chooses by the router's logits `[T, E]`. */
export function route(z_TE: Float32Array, { count: E, perToken: k, isNormalized }: RouterSize): Routing {
  const T = z_TE.length / E;
  const share_TE = new Float64Array(T * E);
  const chosen = Array.from({ length: T }, (_, t) => {
    const z = z_TE.subarray(t * E, (t + 1) * E);
    const own = largest(z, k);
    const among = isNormalized ? own : Array.from(z.keys());
    const max = among.reduce((most, e) => Math.max(most, z[e]), -Infinity);
    const sum = among.reduce((total, e) => total + (share_TE[t * E + e] = Math.exp(z[e] - max)), 0);
    for (const e of among) share_TE[t * E + e] /= sum;
    return own;
  });
  const bounds = new Int32Array(E + 1);
  for (const own of chosen) for (const e of own) bounds[e + 1]++;
  for (let e = 0; e < E; e++) bounds[e + 1] += bounds[e];
  const tokenOf_P = new Int32Array(T * k);
  const weight_P = new Float32Array(T * k);
  const next = bounds.slice();
  for (const [t, own] of chosen.entries()) {
    for (const e of own) {
      weight_P[next[e]] = share_TE[t * E + e];
      tokenOf_P[next[e]++] = t;
    }
  }
  return { tokenOf_P, bounds, weight_P, share_TE };
}

/** Indices of the k largest, the lower one if two are equal; a NaN is the least, and goes on as a bad number of its weight. */
function largest(z: Float32Array, k: number): number[] {
  const key = (e: number) => (Number.isNaN(z[e]) ? -Infinity : z[e]);
  return Array.from(z.keys())
    .toSorted((a, b) => (key(a) === key(b) ? a - b : key(b) - key(a)))
    .slice(0, k);
}

/** Gradient of the logits `[T, E]`, of that of the weights. */
export function routeBackward(
  dweight_P: Float32Array,
  { tokenOf_P, bounds, share_TE }: Omit<Routing, "weight_P">,
  { count: E }: Pick<RouterSize, "count">,
): Float32Array {
  const dshare_TE = new Float64Array(share_TE.length);
  for (let e = 0; e < E; e++) {
    for (let p = bounds[e]; p < bounds[e + 1]; p++) dshare_TE[tokenOf_P[p] * E + e] = dweight_P[p];
  }
  const dz_TE = new Float32Array(share_TE.length);
  for (let at = 0; at < dz_TE.length; at += E) {
    let mean = 0;
    for (let e = at; e < at + E; e++) mean += dshare_TE[e] * share_TE[e];
    for (let e = at; e < at + E; e++) dz_TE[e] = share_TE[e] * (dshare_TE[e] - mean);
  }
  return dz_TE;
}
