/**
 * Rotary position embedding (arXiv:2104.09864), half-split layout:
 *   x'[i] = x[i]·cos − x[i+d/2]·sin        x'[i+d/2] = x[i+d/2]·cos + x[i]·sin
 */
import type { AttentionSize } from "@zerogate/core/engine";
import { type Maths, part, type Tensor } from "../tf.ts";

/** Queries and keys of `[T, H+2G, d]` rotated, values unchanged; its gradient is the rotation back (`inverse`). */
export function rope(
  { tf }: Maths,
  qkv: Tensor,
  cosSin_Td: Tensor,
  { T, H, G, d, inverse = false }: AttentionSize & { inverse?: boolean },
): Tensor {
  const angles = tf.reshape(cosSin_Td, [T, 1, d]);
  const cos = part(tf, angles, 2, 0, d / 2);
  const sin = part(tf, angles, 2, d / 2, d);
  const heads = part(tf, qkv, 1, 0, H + G);
  const a = part(tf, heads, 2, 0, d / 2);
  const b = part(tf, heads, 2, d / 2, d);
  const [aSin, bSin] = [tf.mul(a, sin), tf.mul(b, sin)];
  const [aCos, bCos] = [tf.mul(a, cos), tf.mul(b, cos)];
  const rotated = inverse ? [tf.add(aCos, bSin), tf.sub(bCos, aSin)] : [tf.sub(aCos, bSin), tf.add(bCos, aSin)];
  return tf.concat([tf.concat(rotated, 2), part(tf, qkv, 1, H + G, H + 2 * G)], 1);
}
