/** Core's conformance suite and golden values on every backend that runs here. Every base: engine_bases.campaign.test.ts. */
import { expect, test } from "vitest";
import { describeEngine } from "../../core/test/conformance.ts";
import { describeGolden } from "../../core/test/golden.ts";
import { describeImageGolden } from "../../core/test/image_golden.ts";
import { describeLabelled } from "../../core/test/labelled_rows.ts";
import { describePromptSets } from "../../core/test/prompt_sets.ts";
import { describeQueryGolden } from "../../core/test/query_golden.ts";
import { describeShared } from "../../core/test/shared_beginnings.ts";
import { unlikeBases } from "../../core/test/tiny_bases.ts";
import { describeTowers } from "../../core/test/tower.ts";
import { describeTuningGolden } from "../../core/test/tuning_golden.ts";
import { backends } from "../test/backends.ts";
import { createEngine } from "./engine.ts";

/** Libraries that choose a kernel by the sizes of a product sum in an order that depends on them: no bits over a cache. */
const cached = { cpu: 0, wasm: 0, node: 2e-6, "node-gpu": 2e-6, webgpu: 2e-6 };

for (const { backend, absent } of backends) {
  test.skipIf(absent !== "")(`tfjs:${backend} says in its name what determines the bits${absent}`, async () => {
    const { name } = await createEngine({ backend });
    expect(name).toMatch(new RegExp(`^tfjs/${backend}/4\\.\\d+\\.\\d+.*/f32$`));
  });
}

for (const { backend } of backends.filter(({ absent }) => absent === "")) {
  const open = () => createEngine({ backend });
  // Float32 sums of up to 128 terms: half a unit in the last place is 6e-8, and errors add like a random walk.
  describeEngine(`tfjs:${backend}`, open, 2e-6, { cached: cached[backend] });
  describeGolden(`tfjs:${backend}`, open, 1e-5);
  describeImageGolden(`tfjs:${backend}`, open, 1e-5);
  describeQueryGolden(`tfjs:${backend}`, open, 1e-5);
  describePromptSets(`tfjs:${backend}`, open, cached[backend]);
  describeShared(`tfjs:${backend}`, open, 1e-5, unlikeBases);
  describeLabelled(`tfjs:${backend}`, open, 1e-5, unlikeBases);
  describeTuningGolden(`tfjs:${backend}`, open, 1e-5);
  describeTowers(`tfjs:${backend}`, open);
}
