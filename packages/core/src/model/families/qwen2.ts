/** Qwen2 and 2.5: biases on queries, keys and values; slides if `use_sliding_window` says so. */
import type { JsonFields } from "../../formats/json_fields.ts";
import type { Family } from "./family.ts";
import { llamaArchitecture, llamaDefaults, llamaWeights, readSizes, readTokens } from "./llama.ts";
import { readSlidingLayers, readWindowSize, type Windows, windows } from "./windows.ts";

const defaults = { ...llamaDefaults, kvHeads: 32, contextLength: 32_768, bosTokenId: [], eosTokenId: [] };

export const qwen2: Family = {
  modelType: "qwen2",
  classes: ["Qwen2ForCausalLM", "Qwen2Model"],
  architecture: llamaArchitecture,
  read(reading) {
    const { fields } = reading;
    const sizes = readSizes(reading, defaults);
    return {
      ...sizes,
      ...readQwenWindows(fields, sizes.layers),
      ...readTokens(fields, defaults),
      embedScale: 1,
      qkvBias: true, // ignores attention_bias, as transformers does
      outputBias: false,
      mlpBias: false,
    };
  },
  weights: (config) => llamaWeights(config),
};

/** Reads the windows of Qwen2 and 3. */
export function readQwenWindows(fields: JsonFields, layers: number): Windows {
  const isOn = fields.boolean("use_sliding_window", false);
  const size = readWindowSize(fields);
  const named = readSlidingLayers(fields, layers);
  const switches = "use_sliding_window and sliding_window give";
  return windows(fields, { size: isOn ? size : 0, named, layers: named ?? lastLayers(fields, layers), switches });
}

/** Layers that slide if `layer_types` is not there: those from `max_window_layers` on. */
function lastLayers(fields: JsonFields, layers: number): number[] {
  const first = fields.integer("max_window_layers", { min: 0, fallback: 28 });
  return Array.from({ length: Math.max(0, layers - first) || 0 }, (_, i) => first + i);
}
