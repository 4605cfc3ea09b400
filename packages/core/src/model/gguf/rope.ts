/** The rotation of a GGUF file in the words of a config.json. */
import type { ConfigFields, GgufContents } from "./architecture.ts";
import { describe, type GgufKeys } from "./keys.ts";

/** `rope_theta`, and `rope_scaling` if there is any. */
export function ropeFields(
  keys: GgufKeys,
  contents: GgufContents,
  defaultTheta = 10_000,
): { readonly rope_theta: number; readonly rope_scaling?: ConfigFields } {
  const scaling = scalingOf(keys, contents);
  return { rope_theta: keys.number("rope.freq_base", defaultTheta), ...(scaling && { rope_scaling: scaling }) };
}

function scalingOf(keys: GgufKeys, contents: GgufContents): ConfigFields | undefined {
  const type = keys.raw("rope.scaling.type") ?? "none";
  const divisors = contents.numbers("rope_freqs.weight");
  const [longFactors, shortFactors] = ["long", "short"].map((name) => contents.numbers(`rope_factors_${name}.weight`));
  const factor = () => keys.number("rope.scaling.factor");
  const originalContext = () => keys.count("rope.scaling.original_context_length");
  if (longFactors && shortFactors) {
    const attention = keys.raw("rope.scaling.attn_factor");
    const inferred = longropeFactor(keys.count("context_length", Number.NaN) / originalContext(), originalContext());
    const isInferred = attention === undefined || Math.fround(Number(attention)) === Math.fround(inferred);
    return {
      rope_type: "longrope",
      long_factor: longFactors,
      short_factor: shortFactors,
      ...(!isInferred && { attention_factor: attention }),
    };
  }
  if (divisors) return dividedFrequencies(keys, divisors);
  if (type === "none") return undefined;
  if (type === "linear") return { rope_type: "linear", factor: factor() };
  if (type === "yarn") {
    const [fast, slow] = [keys.raw("rope.scaling.yarn_beta_fast"), keys.raw("rope.scaling.yarn_beta_slow")];
    // llama.cpp takes 1 for the other of the two.
    const allDims = keys.number("rope.scaling.yarn_log_multiplier", 0);
    return {
      rope_type: "yarn",
      factor: factor(),
      original_max_position_embeddings: originalContext(),
      ...(fast !== undefined && { beta_fast: fast }),
      ...(slow !== undefined && { beta_slow: slow }),
      ...(allDims !== 0 && { mscale: 1, mscale_all_dim: allDims }),
    };
  }
  keys.problem(`rope.scaling.type is ${describe(type)}, read are none, linear, yarn, and longrope with its factors`);
  return undefined;
}

/** What transformers multiplies cosines and sines with if a config does not say it. */
const longropeFactor = (stretch: number, originalContext: number): number =>
  stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(originalContext));

/** Of all Llama 3: wavelengths longer than the context are divided by the factor, those below a quarter of it stay. */
const [LOW, HIGH] = [1, 4];

/**
 * Returns the scaling that has these divisors, of which alone the file knows: that of Llama 3 whose factor and context they show, or
 * else a list of them.
 */
function dividedFrequencies(keys: GgufKeys, divisors: readonly number[]): ConfigFields {
  const theta = keys.number("rope.freq_base", 10_000);
  const wavelengths = divisors.map((_, i) => 2 * Math.PI * theta ** (i / divisors.length));
  const factor = Math.max(...divisors);
  const between = divisors.findIndex((divisor) => divisor > 1 && divisor < factor);
  const smooth = (1 / divisors[between] - 1 / factor) / (1 - 1 / factor);
  const context = between === -1 ? 8192 : Math.round(wavelengths[between] * (LOW + smooth * (HIGH - LOW)));
  const isLlama3 = divisors.every((divisor, i) => {
    const expected = llama3Divisor(wavelengths[i], factor, context);
    return Math.abs(divisor - expected) <= 1e-5 * expected;
  });
  if (isLlama3) {
    const factors = { factor, low_freq_factor: LOW, high_freq_factor: HIGH };
    return { rope_type: "llama3", ...factors, original_max_position_embeddings: context };
  }
  return {
    rope_type: "longrope",
    long_factor: divisors,
    short_factor: divisors,
    original_max_position_embeddings: keys.count("context_length", Number.NaN),
    attention_factor: 1,
  };
}

/** As the converter computes it from a config.json. */
function llama3Divisor(wavelength: number, factor: number, context: number): number {
  if (wavelength < context / HIGH) return 1;
  if (wavelength > context / LOW) return factor;
  const smooth = (context / wavelength - LOW) / (HIGH - LOW);
  return 1 / ((1 - smooth) / factor + smooth);
}
