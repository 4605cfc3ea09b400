/** How what is trained for images starts, and which of it decays. */
import { expect, test } from "vitest";
import { tinyConfig } from "../../../test/tiny_model.ts";
import { queryFusion } from "../fusions/query.ts";
import { adapterLayout } from "../kinds/adaption_prompt.ts";
import type { VisionShape } from "../layout.ts";
import { initParameters, partNumbers } from "../parameters.ts";
import { VISION_FILE } from "./projection.ts";

const sizes = { featureSize: 100, embedSize: 36, blocks: 1, heads: 2, mlpSize: 64, blockEps: 1e-6, normEps: 1e-5 };
const query = { fusion: "query", ...sizes, missingImage: "none" } as const;
const global = { fusion: "global", featureSize: 400, projectionSize: 25, missingImage: "none" } as const;

test.each<VisionShape>([global, query])(
  "weights of $fusion start with a variance of one over their inputs and decay, biases and norms do neither",
  (vision) => {
    const { table } = adapterLayout({ promptLength: 20, adaptedLayers: 1, vision }, tinyConfig());
    const params = initParameters(table, 5);
    for (const part of table.filter(({ file }) => file === VISION_FILE)) {
      const { name, shape } = part;
      const isMatrix = shape.length > 1;
      expect(part.decays, name).toEqual(isMatrix ? ["all", "original"] : ["all"]);
      const numbers = partNumbers(part, params);
      const starts = { "proj.fc2.weight": 0, "visual_query.weight": 1 }[name] ?? 1 / Math.sqrt(shape[1] ?? 1);
      const spread = Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length);
      const still = name.includes("norm") && name.endsWith("weight") ? 1 : 0;
      const expected = isMatrix ? starts : still;
      expect(Math.abs(spread - expected), name).toBeLessThanOrEqual(isMatrix ? 0.12 * expected : 0);
    }
  },
);

test("an image without a token is no image", () => {
  const layout = adapterLayout({ promptLength: 2, adaptedLayers: 1, vision: query }, tinyConfig());
  const { misfit } = queryFusion(query);
  const adapter = { layout, params: new Float32Array(layout.length) };
  expect([0, 50, 100, 300].map((length) => misfit(new Float32Array(length), adapter))).toEqual([
    "tokens of 100",
    "tokens of 100",
    undefined,
    undefined,
  ]);
});
