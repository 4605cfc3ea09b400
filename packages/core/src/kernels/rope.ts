/**
 * Rotary position embedding (RoFormer, arXiv:2104.09864), half-split layout of Hugging Face: component i pairs with i + d/2.
 *
 *   x'[i] = x[i]·cos − x[i+d/2]·sin        x'[i+d/2] = x[i+d/2]·cos + x[i]·sin
 *
 * The rotation is orthogonal, so its gradient is the rotation by the negative angle (`inverse`).
 */
import type { AttentionSize } from "../engine/engine.ts";
import { checkLengths } from "../shape.ts";

/** Rotates the H query and G key heads of every row in place; values stay. `cosSin_Td`: d/2 cosines, then d/2 sines. */
export function rotate(
  qkv_TX: Float32Array,
  cosSin_Td: Float32Array,
  { T, H, G, d, inverse = false }: AttentionSize & { inverse?: boolean },
): void {
  checkLengths({ qkv_TX }, { T, heads: H + 2 * G, d });
  checkLengths({ cosSin_Td }, { T, d });
  const half = d / 2;
  const sign = inverse ? -1 : 1;
  for (let t = 0; t < T; t++) {
    const angles = t * d;
    for (let head = 0; head < H + G; head++) {
      const at = (t * (H + 2 * G) + head) * d;
      for (let i = 0; i < half; i++) {
        const cos = cosSin_Td[angles + i];
        const sin = sign * cosSin_Td[angles + half + i];
        const a = qkv_TX[at + i];
        const b = qkv_TX[at + half + i];
        qkv_TX[at + i] = a * cos - b * sin;
        qkv_TX[at + half + i] = b * cos + a * sin;
      }
    }
  }
}
