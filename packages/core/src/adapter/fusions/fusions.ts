/** The fusions that there are. */
import type { VisionShape } from "../layout.ts";
import type { Fusion } from "./fusion.ts";
import { globalFusion } from "./global.ts";
import { queryFusion } from "./query.ts";

/** Returns how images enter an adapter of this shape. */
export function fusionOf(vision: VisionShape): Fusion {
  return vision.fusion === "global" ? globalFusion(vision) : queryFusion(vision);
}
