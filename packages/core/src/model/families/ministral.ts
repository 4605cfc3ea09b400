/** Ministral (2410): Mistral under a name of its own. All layers slide unless `layer_types` says which. */
import type { Family } from "./family.ts";
import { mistral } from "./mistral.ts";

export const ministral: Family = {
  ...mistral,
  modelType: "ministral",
  classes: ["MinistralForCausalLM", "MinistralModel"],
};
