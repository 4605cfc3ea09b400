/**
 * The rotary part of a Hugging Face config, in both spellings: `rope_theta` + `rope_scaling` (transformers 4, type under
 * `type` or `rope_type`) and `rope_parameters` (transformers 5). Where both are given the older one wins, as there.
 */
import { isJsonObject, type JsonFields, jsonFields, shown } from "../formats/json_fields.ts";
import type { ModelConfig, QueryGrowth, RopeScaling } from "./config.ts";
import type { ConfigReading } from "./families/family.ts";

export type RotaryFields = Pick<ModelConfig, "ropeTheta" | "ropeScaling" | "rotaryDim" | "slidingRope" | "queryGrowth">;

/** What a family says of its rotation, and the sizes that rotation depends on. */
export interface RopeDefaults {
  readonly ropeTheta: number;
  /** Key that holds it beside the rotary settings; null: none does. */
  readonly ropeThetaKey?: string | null;
  /** Whether the family reads `partial_rotary_factor`, and what it is if absent; undefined: whole heads rotate. */
  readonly partialRotation?: number;
  /** Key that holds it beside the rotary settings. */
  readonly partialRotationKey?: string;
  /** What `original_max_position_embeddings` is if it stands nowhere outside the rotary settings: it wins over the one inside. */
  readonly originalContext?: number;
  /** Rotation of layers with a window, where the family has one: never scaled unless `rope_parameters` has it by layer type. */
  readonly sliding?: Pick<RopeDefaults, "ropeTheta" | "ropeThetaKey">;
  /** Other names of the type longrope. */
  readonly longropeNames?: readonly string[];
  /** Whether the settings also say how queries grow with their position (`llama_4_scaling_beta`). */
  readonly growsQueries?: boolean;
  /** The settings of a config that has none. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Keys of its settings that change nothing here. */
  readonly withoutMeaning?: readonly string[];
  /** Types of scaling that the family takes, if not all. */
  readonly types?: readonly RopeScaling["type"][];
}

const allTypes: readonly RopeScaling["type"][] = ["default", "linear", "dynamic", "llama3", "yarn", "longrope"];

interface RopeSizes {
  /** `max_position_embeddings`. */
  readonly contextLength: number;
  readonly headDim: number;
}

/**
 * Adds to the problems of `reading` what is wrong; the result is then not to be used. Settings that the type of scaling has
 * no use for go to its unused ones.
 */
export function parseRope(reading: ConfigReading, sizes: RopeSizes, defaults: RopeDefaults): RotaryFields {
  if (defaults.sliding) return parseRopeByLayerType(reading, sizes, { ...defaults, sliding: defaults.sliding });
  const { fields: outer, problems, unused } = reading;
  outer.raw("rope_parameters");
  const name = isUsed(outer.raw("rope_scaling")) ? "rope_scaling" : "rope_parameters";
  const settings = outer.raw(name) ?? defaults.settings ?? {};
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
  for (const key of defaults.withoutMeaning ?? []) inner.raw(key);
  const rotaryDim = readRotaryDim(inner, outer, sizes.headDim, defaults);
  const scaling = parseScaling(inner, outer, { ...sizes, rotaryDim }, defaults);
  const rope = {
    ropeTheta: ropeTheta(inner, outer, defaults),
    ropeScaling: scaling,
    ...(rotaryDim < sizes.headDim && { rotaryDim }),
    ...(defaults.growsQueries && { queryGrowth: readQueryGrowth(inner) }),
  };
  unused.push(...Object.keys(settings).flatMap((key) => (inner.asked.has(key) ? [] : [`${name}.${key}`])));
  return rope;
}

/** Those whose angles do not depend on the length of a sequence. */
const fixedTypes = allTypes.filter((type) => type !== "dynamic" && type !== "longrope");
const layerTypes = ["full_attention", "sliding_attention"] as const;

/** The rotation of a family whose layers with a window have one of their own. The older spelling scales the others alone. */
function parseRopeByLayerType(
  { fields: outer, problems, unused }: ConfigReading,
  sizes: RopeSizes,
  defaults: RopeDefaults & Required<Pick<RopeDefaults, "sliding">>,
): RotaryFields {
  const rotaryDim = sizes.headDim;
  const newer = outer.raw("rope_parameters") ?? {};
  const older = outer.raw("rope_scaling") ?? {};
  const isByType = isJsonObject(newer) && Object.keys(newer).every((key) => layerTypes.some((type) => type === key));
  if (!isByType || !isJsonObject(older)) {
    const [name, found] = isByType ? ["rope_scaling", older] : ["rope_parameters", newer];
    const needed = isByType ? "an object" : `an object with ${layerTypes.join(" and ")}`;
    outer.problem(`${name} is ${shown(found)}, needed is ${needed}`);
    return { ropeTheta: Number.NaN, ropeScaling: { type: "default" } };
  }
  const [full, sliding] = layerTypes.map((type) => {
    const own = newer[type];
    // As transformers: where nothing is given by type, rope_type is set, and `type` in the older spelling cannot change it.
    const unset = outer.has("rope_parameters") ? {} : { rope_type: "default" };
    const settings = { ...(isJsonObject(own) ? own : unset), ...(type === "full_attention" ? older : {}) };
    const isOlder = type === "full_attention" && Object.keys(older).length > 0;
    const label = isOlder ? "rope_scaling." : `rope_parameters.${type}.`;
    const inner = jsonFields(settings, problems, label);
    const rope = {
      ropeTheta: ropeTheta(inner, outer, type === "full_attention" ? defaults : defaults.sliding),
      ropeScaling: parseScaling(inner, outer, { ...sizes, rotaryDim }, { ...defaults, types: fixedTypes }),
    };
    unused.push(...Object.keys(settings).flatMap((key) => (inner.asked.has(key) ? [] : [label + key])));
    return rope;
  });
  return { ...full, slidingRope: sliding };
}

/** Both keys must be there: transformers computes with them whatever the type of scaling is. */
function readQueryGrowth(inner: JsonFields): QueryGrowth {
  inner.raw("max_position_embeddings"); // stands inside too
  return {
    beta: inner.raw("llama_4_scaling_beta") === 0 ? 0 : inner.number("llama_4_scaling_beta", { above: 0 }),
    originalContext: inner.integer("original_max_position_embeddings", { min: 1 }),
  };
}

/** The numbers of a head that rotate. The factor stands inside the rotary settings (which wins) or beside them. */
function readRotaryDim(
  inner: JsonFields,
  outer: JsonFields,
  headDim: number,
  { partialRotation: fallback, partialRotationKey: outerKey = "partial_rotary_factor" }: RopeDefaults,
): number {
  if (fallback === undefined) {
    for (const fields of [inner, outer]) {
      if ((fields.raw("partial_rotary_factor") ?? 1) !== 1) {
        fields.problem("partial_rotary_factor is not 1, supported is rotation of whole heads");
      }
    }
    return headDim;
  }
  const outside = outer.raw(outerKey);
  const isInside = inner.raw("partial_rotary_factor") !== undefined || outside === undefined;
  const [fields, key] = isInside ? [inner, "partial_rotary_factor"] : [outer, outerKey];
  const factor = fields.number(key, { above: 0, fallback });
  const rotaryDim = Math.trunc(headDim * factor);
  if (factor > 1) fields.problem(`${key} is ${factor}, needed is at most 1`);
  else if (rotaryDim < 2 || rotaryDim % 2 > 0) {
    fields.problem(
      `${key} is ${factor}, which rotates ${rotaryDim} of ${headDim} numbers of a head: needed is an even count`,
    );
  }
  return rotaryDim;
}

/** A null is no default here: transformers computes with it and fails. */
function ropeTheta(
  inner: JsonFields,
  outer: JsonFields,
  { ropeTheta: fallback, ropeThetaKey: outerKey = "rope_theta" }: RopeDefaults,
): number {
  const isInside = inner.has("rope_theta") || outerKey === null;
  const [fields, key] = isInside ? [inner, "rope_theta"] : [outer, outerKey];
  if (fields.has(key) && fields.raw(key) === undefined) {
    fields.problem(`${key} is null, needed is a number above 0`);
    return Number.NaN;
  }
  if (outerKey !== null) outer.raw(outerKey);
  return fields.number(key, { above: 0, fallback });
}

/** Python's truth: an empty object counts as not given. */
function isUsed(value: unknown): boolean {
  return value !== undefined && !(isJsonObject(value) && Object.keys(value).length === 0);
}

function parseScaling(
  fields: JsonFields,
  outer: JsonFields,
  { contextLength, rotaryDim }: RopeSizes & { readonly rotaryDim: number },
  { longropeNames = [], types = allTypes, originalContext: outerContext }: RopeDefaults,
): RopeScaling {
  const [newer, older] = [fields.raw("rope_type"), fields.raw("type")];
  if (newer !== undefined && older !== undefined && newer !== older) {
    fields.problem(`rope_type is ${shown(newer)}, type is ${shown(older)}, needed is one of them`);
  }
  const named: unknown = newer ?? older ?? "default";
  const type = longropeNames.some((name) => name === named) ? "longrope" : types.find((name) => name === named);
  const factor = () => fields.number("factor", { above: 0 });
  const originalContext = () => {
    const isInside = outer.raw("original_max_position_embeddings") === undefined && outerContext === undefined;
    const fallback = outerContext ?? contextLength;
    return (isInside ? fields : outer).integer("original_max_position_embeddings", { min: 1, fallback });
  };
  switch (type) {
    case "default":
      return { type };
    case "linear":
      return { type, factor: factor() };
    case "dynamic":
      if (rotaryDim === 2) fields.problem("rope_type is dynamic, which a head with two rotating numbers cannot have");
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
    case "longrope":
      return parseLongrope(fields, originalContext(), contextLength, rotaryDim);
    case undefined:
      fields.problem(`rope_type is ${shown(named)}, supported are ${types.join(", ")}`);
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

/** arXiv:2402.13753; the attention factor follows from how far the context is stretched. */
function parseLongrope(
  fields: JsonFields,
  originalContext: number,
  contextLength: number,
  rotaryDim: number,
): RopeScaling {
  const factors = (name: string): readonly number[] => {
    const list = fields.raw(name);
    const isList =
      Array.isArray(list) && list.every((one) => typeof one === "number" && one > 0 && Number.isFinite(one));
    if (isList && list.length === rotaryDim / 2) return list as number[];
    fields.problem(
      `${name} is ${list === undefined ? "missing" : shown(list)}, needed is a list of ${rotaryDim / 2} numbers above 0`,
    );
    return [];
  };
  const factor = fields.number("factor", { above: 0, fallback: contextLength / originalContext });
  const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContext));
  return {
    type: "longrope",
    shortFactors: factors("short_factor"),
    longFactors: factors("long_factor"),
    originalContext,
    attentionFactor: fields.number("attention_factor", { above: 0, fallback: inferred }),
  };
}
