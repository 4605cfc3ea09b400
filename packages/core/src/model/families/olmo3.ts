/** OLMo 3: OLMo 2 with windows in three of four layers, which are rotated without the scaling of the others. */
import type { Family } from "./family.ts";
import { readSizes } from "./llama.ts";
import { olmo2, olmoDefaults, readOlmo } from "./olmo2.ts";
import { readPatternedWindows } from "./windows.ts";

const defaults = {
  ...olmoDefaults,
  rope: { ropeTheta: 500_000, sliding: { ropeTheta: 500_000, ropeThetaKey: null } },
};

export const olmo3: Family = {
  ...olmo2,
  modelType: "olmo3",
  classes: ["Olmo3ForCausalLM", "Olmo3Model"],
  read(reading) {
    const sizes = readSizes(reading, defaults);
    return { ...sizes, ...readPatternedWindows(reading.fields, sizes.layers, 4), ...readOlmo(reading) };
  },
};
