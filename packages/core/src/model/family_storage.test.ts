/** Every family with its linear maps quantised: the loss of base and adapter is near that of the maps as they are. */
import { describe, expect, test } from "vitest";
import { goldenCases, goldenCell, goldenValues } from "../../test/golden.ts";
import { absent, sharedPath } from "../../test/shared.ts";
import { adapterLayout } from "../adapter/kinds/adaption_prompt.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { loadAdapter, loadWeights, readModelConfig } from "../node.ts";
import { createModel } from "./decoder.ts";
import { cellLosses, sum } from "./gradient.ts";

/** Of the loss; the maps have some thousand random numbers, so that a block's rounding shows. */
const NEAR = { int8: 0.005, fp8: 0.03, nf4: 0.05, int4: 0.05 } as const;

/** Delta nets divide keys by their lengths, some of which are nearly 0 in this model. */
const ofDeltaNets = { ...NEAR, nf4: 0.1, int4: 0.1 };

describe.each(goldenCases)("%s", (title) => {
  const golden = title.slice(0, title.indexOf(" "));
  const reason = absent(`golden/${golden}`);
  test.skipIf(reason !== "")(`the loss with maps in int8, fp8, nf4 and int4 [M-storage]${reason}`, async () => {
    const folder = sharedPath(`golden/${golden}`);
    const cell = goldenCell(goldenValues(`${folder}/tensors.safetensors`));
    const engine = createReferenceEngine();
    const config = await readModelConfig(`${folder}/base`);
    const { shape, params } = await loadAdapter(`${folder}/adapter`, config);
    const adapter = { layout: adapterLayout(shape, config), params };
    const lossIn = async (storage: "as-is" | keyof typeof NEAR) => {
      const image = await loadWeights(`${folder}/base`, config, { weightDtypes: engine.weightDtypes, storage });
      return sum(await cellLosses(createModel(engine, config, image), adapter, cell));
    };
    const plain = await lossIn("as-is");
    const bounds = config.deltaNet ? ofDeltaNets : NEAR;
    for (const [storage, near] of Object.entries(bounds) as [keyof typeof NEAR, number][]) {
      const loss = await lossIn(storage);
      expect(loss, storage).not.toBe(plain);
      expect(Math.abs(loss / plain - 1), storage).toBeLessThan(near);
    }
  });
});
