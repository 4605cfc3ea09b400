/**
 * Rotary angles on the host, per token: cosines and sines of position · frequency. Matches transformers'
 * `modeling_rope_utils` including its float32 rounding, because adapters are exchanged with it.
 */
import type { Engine, Matrix } from "../engine/engine.ts";
import type { ModelConfig } from "./config.ts";

/** Inverse frequencies `[r/2]` for a sequence of `length` tokens and the factor that scales cosines and sines. */
export function ropeFrequencies(
  config: Pick<ModelConfig, "headDim" | "rotaryDim" | "ropeTheta" | "ropeScaling" | "contextLength">,
  length: number,
): { frequencies: Float32Array; attentionFactor: number } {
  const { headDim, rotaryDim: d = headDim, ropeTheta: theta, ropeScaling: scaling, contextLength } = config;
  const plain = (base: number) => Float32Array.from({ length: d / 2 }, (_, i) => 1 / base ** ((2 * i) / d));
  switch (scaling.type) {
    case "default":
      return { frequencies: plain(theta), attentionFactor: 1 };
    case "linear":
      return { frequencies: plain(theta).map((f) => f / scaling.factor), attentionFactor: 1 };
    case "dynamic": {
      // NTK-aware: the base grows with the length once it exceeds the trained context.
      const seen = Math.max(length, contextLength);
      const stretch = (scaling.factor * seen) / contextLength - (scaling.factor - 1);
      return { frequencies: plain(theta * stretch ** (d / (d - 2))), attentionFactor: 1 };
    }
    case "llama3": {
      const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
      const frequencies = plain(theta).map((f) => {
        const turns = (originalContext * f) / (2 * Math.PI);
        if (turns > highFreqFactor) return f;
        if (turns < lowFreqFactor) return f / factor;
        const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
        return ((1 - smooth) * f) / factor + smooth * f;
      });
      return { frequencies, attentionFactor: 1 };
    }
    case "yarn": {
      // Peng et al. 2023, arXiv:2309.00071: interpolate slow dimensions, keep fast ones, blend between.
      const { factor, originalContext, betaFast, betaSlow, attentionFactor, truncate } = scaling;
      const dimensionOf = (turns: number) =>
        (d * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const [fast, slow] = [dimensionOf(betaFast), dimensionOf(betaSlow)];
      const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
      const high = Math.min(truncate ? Math.ceil(slow) : slow, d - 1);
      const frequencies = plain(theta).map((f, i) => {
        const ramp = Math.min(Math.max((i - low) / Math.max(high - low, 0.001), 0), 1);
        return (f / factor) * ramp + f * (1 - ramp);
      });
      return { frequencies, attentionFactor };
    }
    case "longrope": {
      const { shortFactors, longFactors, originalContext, attentionFactor } = scaling;
      const factors = Float32Array.from(length > originalContext ? longFactors : shortFactors);
      // Products in float32, as there.
      const power = (i: number) => Math.fround(theta ** Math.fround((2 * i) / d));
      return { frequencies: factors.map((factor, i) => 1 / Math.fround(factor * power(i))), attentionFactor };
    }
  }
}

/** Whether the angles of a token depend on how long its sequence is. */
function dependsOnLength({ ropeScaling: { type } }: Pick<ModelConfig, "ropeScaling">): boolean {
  return type === "dynamic" || type === "longrope";
}

/**
 * Returns how many tokens a sequence may have before it is rotated otherwise from its first token on, so that cached keys are of
 * no use. transformers computes a cache of longrope anew there, and keeps one of `dynamic`.
 */
export function longestRotation({ ropeScaling: scaling }: Pick<ModelConfig, "ropeScaling">): number {
  return scaling.type === "longrope" ? scaling.originalContext : Number.POSITIVE_INFINITY;
}

/** Whether a sequence that grows from `from` tokens to `to` grows past `longestRotation`. */
export function outgrowsCache(config: Pick<ModelConfig, "ropeScaling">, from: number, to: number): boolean {
  const longest = longestRotation(config);
  return from > 0 && from <= longest && to > longest;
}

/** Rows of the smallest table of angles. */
const LEAST_ROWS = 512;

/**
 * Angles by position on the engine, `[P, d]`, so that a pass brings its positions only. It grows to the next power of two; undefined
 * if angles depend on the length of a sequence.
 */
export function angleTable(
  engine: Pick<Engine, "matrix">,
  config: Parameters<typeof ropeAngles>[0],
): ((positions_T: Int32Array) => Matrix) | undefined {
  if (dependsOnLength(config)) return undefined;
  let table: Matrix | undefined;
  return (positions_T) => {
    const last = positions_T.reduce((a, b) => Math.max(a, b), 0);
    if (!table || table.rows <= last) {
      const rows = 2 ** Math.ceil(Math.log2(Math.max(LEAST_ROWS, last + 1)));
      const angles = ropeAngles(
        config,
        Int32Array.from({ length: rows }, (_, position) => position),
        Int32Array.of(0, rows),
      );
      table = engine.matrix({ dtype: "f32", shape: [rows, config.headDim], bytes: new Uint8Array(angles.buffer) });
    }
    return table;
  };
}

/** Equal for lengths of sequences whose tokens have the same angles at the same positions. */
export function rotationKind(config: Pick<ModelConfig, "ropeScaling" | "contextLength">, length: number): number {
  const { ropeScaling: scaling, contextLength } = config;
  if (!dependsOnLength(config)) return 0;
  return scaling.type === "longrope" ? Number(length > scaling.originalContext) : Math.max(0, length - contextLength);
}

/** `[T, d]`: for each token d/2 cosines, then d/2 sines. What does not rotate comes last in each half, and is turned by 0. */
export function ropeAngles(
  config: Parameters<typeof ropeFrequencies>[0],
  positions_T: Int32Array,
  cuSeqlens: Int32Array,
): Float32Array {
  const { headDim: d } = config;
  const half = d / 2;
  const cosSin_Td = new Float32Array(positions_T.length * d);
  const shared = dependsOnLength(config) ? undefined : ropeFrequencies(config, 0);
  // Packed sequences have the same positions: their rows are copied. An engine may be waiting for this.
  const rowOf = new Map<number, number>();
  for (let s = 0; s + 1 < cuSeqlens.length; s++) {
    const last = positions_T[cuSeqlens[s + 1] - 1];
    const { frequencies, attentionFactor } = shared ?? ropeFrequencies(config, last + 1);
    for (let t = cuSeqlens[s]; t < cuSeqlens[s + 1]; t++) {
      const row = t * d;
      const known = rowOf.get(positions_T[t]);
      if (known !== undefined) {
        cosSin_Td.copyWithin(row, known, known + d);
        continue;
      }
      if (shared) rowOf.set(positions_T[t], row);
      cosSin_Td.fill(1, row + frequencies.length, row + half);
      for (let i = 0; i < frequencies.length; i++) {
        const angle = Math.fround(positions_T[t] * frequencies[i]);
        cosSin_Td[row + i] = Math.cos(angle) * attentionFactor;
        cosSin_Td[row + half + i] = Math.sin(angle) * attentionFactor;
      }
    }
  }
  return cosSin_Td;
}
