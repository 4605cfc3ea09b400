/** Sliding windows of attention in a config.json, by layer. */
import { type JsonFields, shown } from "../../formats/json_fields.ts";
import type { ModelConfig } from "../config.ts";

export type Windows = Pick<ModelConfig, "slidingWindow" | "slidingLayers">;

/** Reads `sliding_window`: an explicit null means no window (0), an absent key the family's `fallback`. */
export function readWindowSize(fields: JsonFields, fallback = 4096): number {
  if (fields.raw("sliding_window") === undefined) return fields.has("sliding_window") ? 0 : fallback;
  return fields.integer("sliding_window", { min: 1 });
}

/** Reads which layers slide by `layer_types`; undefined if it is not there. */
export function readSlidingLayers(fields: JsonFields, layers: number): number[] | undefined {
  const types = fields.raw("layer_types");
  if (types === undefined) return undefined;
  fields.raw("max_window_layers"); // stands back
  const known = ["full_attention", "sliding_attention"];
  if (!Array.isArray(types) || types.length !== layers || !types.every((type) => known.includes(type))) {
    fields.problem(
      `layer_types is ${shown(types)}, needed is a list of ${layers} names, each one of ${known.join(", ")}`,
    );
    return [];
  }
  return types.flatMap((type, i) => (type === "sliding_attention" ? [i] : []));
}

/** Reads the windows of a family in which, without `layer_types`, each layer slides but every `every`-th; an absent window is 4096. */
export function readPatternedWindows(fields: JsonFields, layers: number, every: number): Windows {
  const size = readWindowSize(fields);
  const named = readSlidingLayers(fields, layers);
  const patterned = Array.from({ length: layers || 0 }, (_, i) => i).filter((i) => (i + 1) % every !== 0);
  if (size === 0 && named === undefined && patterned.length > 0) {
    fields.problem(`sliding_window is null, needed is a number: ${patterned.length} of ${layers} layers slide`);
  }
  return windows(fields, { size, named, layers: named ?? patterned, switches: "sliding_window gives" });
}

/**
 * The windows of a model. Reports sliding layers without a window, which `switches` (a phrase: "sliding_window gives") says
 * there is none of. `layers` undefined means all.
 */
export function windows(
  fields: JsonFields,
  {
    size,
    named,
    layers,
    switches,
  }: { size: number; named: number[] | undefined; layers: number[] | undefined; switches: string },
): Windows {
  const none = { slidingWindow: 0, slidingLayers: undefined };
  if (size === 0) {
    if (named && named.length > 0) fields.problem(`layer_types has sliding_attention, but ${switches} no window`);
    return none;
  }
  return layers?.length === 0 ? none : { slidingWindow: size, slidingLayers: layers };
}
