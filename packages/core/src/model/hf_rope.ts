/**
 * The rotary part of a Hugging Face config, in both spellings: `rope_theta` + `rope_scaling` (transformers 4, type under
 * `type` or `rope_type`) and `rope_parameters` (transformers 5). Where both are given the older one wins, as there.
 */
import { isJsonObject, type JsonFields, jsonFields, shown } from "../formats/json_fields.ts";
import type { RopeScaling } from "./config.ts";

export interface RopeConfig {
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
}

/**
 * Adds to `problems`, which are also those of `outer`, what is wrong; the result is then not to be used. `contextLength` is
 * `max_position_embeddings`. Settings that the type of scaling has no use for go to `unused`.
 */
export function parseRope(outer: JsonFields, contextLength: number, problems: string[], unused: string[]): RopeConfig {
  outer.raw("rope_parameters");
  const name = isUsed(outer.raw("rope_scaling")) ? "rope_scaling" : "rope_parameters";
  const settings = outer.raw(name) ?? {};
  if (!isJsonObject(settings)) {
    outer.problem(`${name} is ${shown(settings)}, needed is an object`);
    return { ropeTheta: Number.NaN, ropeScaling: { type: "default" } };
  }
  const nested = Object.keys(settings).filter((key) => isJsonObject(settings[key]));
  if (nested.length > 0) {
    outer.problem(
      `${name} differs by layer type (${nested.join(", ").slice(0, 200)}), supported is one for all layers`,
    );
    return { ropeTheta: Number.NaN, ropeScaling: { type: "default" } };
  }
  const inner = jsonFields(settings, problems, `${name}.`);
  for (const fields of [inner, outer]) {
    if ((fields.raw("partial_rotary_factor") ?? 1) !== 1) {
      fields.problem("partial_rotary_factor is not 1, supported is rotation of whole heads");
    }
  }
  const rope = { ropeTheta: ropeTheta(inner, outer), ropeScaling: parseScaling(inner, outer, contextLength) };
  unused.push(...Object.keys(settings).flatMap((key) => (inner.asked.has(key) ? [] : [`${name}.${key}`])));
  return rope;
}

/** A null is no default here: transformers computes with it and fails. */
function ropeTheta(inner: JsonFields, outer: JsonFields): number {
  const fields = inner.has("rope_theta") ? inner : outer;
  if (fields.has("rope_theta") && fields.raw("rope_theta") === undefined) {
    fields.problem("rope_theta is null, needed is a number above 0");
    return Number.NaN;
  }
  outer.raw("rope_theta");
  return fields.number("rope_theta", { above: 0, fallback: 10_000 });
}

/** Python's truth: an empty object counts as not given. */
function isUsed(value: unknown): boolean {
  return value !== undefined && !(isJsonObject(value) && Object.keys(value).length === 0);
}

function parseScaling(fields: JsonFields, outer: JsonFields, contextLength: number): RopeScaling {
  const [newer, older] = [fields.raw("rope_type"), fields.raw("type")];
  if (newer !== undefined && older !== undefined && newer !== older) {
    fields.problem(`rope_type is ${shown(newer)}, type is ${shown(older)}, needed is one of them`);
  }
  const type: unknown = newer ?? older ?? "default";
  const factor = () => fields.number("factor", { above: 0 });
  const originalContext = () => {
    const from = outer.raw("original_max_position_embeddings") === undefined ? fields : outer;
    return from.integer("original_max_position_embeddings", { min: 1, fallback: contextLength });
  };
  switch (type) {
    case "default":
      return { type };
    case "linear":
      return { type, factor: factor() };
    case "dynamic":
      // transformers stretches from max_position_embeddings and ignores original_max_position_embeddings.
      return { type, factor: factor(), originalContext: contextLength };
    case "llama3": {
      const lowFreqFactor = fields.number("low_freq_factor", { above: 0 });
      const highFreqFactor = fields.number("high_freq_factor", { above: 0 });
      if (highFreqFactor <= lowFreqFactor) {
        fields.problem(`high_freq_factor is ${highFreqFactor}, needed is more than low_freq_factor ${lowFreqFactor}`);
      }
      return { type, factor: factor(), lowFreqFactor, highFreqFactor, originalContext: originalContext() };
    }
    case "yarn":
      return parseYarn(fields, originalContext(), contextLength);
    default:
      fields.problem(`rope_type is ${shown(type)}, supported are default, linear, dynamic, llama3, yarn`);
      return { type: "default" };
  }
}

/** arXiv:2309.00071; a 0 in the optional fields counts as not given, as in transformers. */
function parseYarn(fields: JsonFields, originalContext: number, contextLength: number): RopeScaling {
  const optional = (name: string): number | undefined =>
    (fields.raw(name) ?? 0) === 0 ? undefined : fields.number(name, { above: 0 });
  const factor = fields.number("factor", { above: 0, fallback: contextLength / originalContext });
  const mscale = optional("mscale");
  const mscaleAllDim = optional("mscale_all_dim");
  const stretch = (scale = 1) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const inferred = mscale && mscaleAllDim ? stretch(mscale) / stretch(mscaleAllDim) : stretch();
  return {
    type: "yarn",
    factor,
    originalContext,
    betaFast: optional("beta_fast") ?? 32,
    betaSlow: optional("beta_slow") ?? 1,
    attentionFactor: fields.number("attention_factor", { above: 0, fallback: inferred }),
    truncate: fields.boolean("truncate", true),
  };
}
