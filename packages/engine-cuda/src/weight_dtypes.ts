/** What weights may be stored in, known without the engine. */
import type { WeightDType } from "@zerogate/core/engine";

export const weightDtypes: readonly WeightDType[] = ["f32", "bf16", "f16", "i8", "f8", "nf4", "i4"];
