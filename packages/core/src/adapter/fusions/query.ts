/**
 * The fusion `query` (LLaMA-Adapter V2, multimodal): K vectors for each image, made by the visual-query transformer, are added to
 * the K prompts of every adapted layer. They differ, so keys and softmax change with the image: its tokens attend to prompts of
 * their own.
 */
import { wideArithmeticOf } from "../../kernels/wide_linear.ts";
import { imagePrompts } from "../../model/images.ts";
import type { AdapterLayout, QueryShape } from "../layout.ts";
import { partNumbers, type TrainedPart } from "../parameters.ts";
import { visualQueries, visualQueriesBackward } from "../parts/visual_queries.ts";
import { visualParts } from "../parts/visual_tensors.ts";
import type { Fusion } from "./fusion.ts";

export function queryFusion(vision: QueryShape): Fusion {
  const { featureSize: C } = vision;
  return {
    parts: (base, K) => visualParts(vision, base, K),

    misfit(image, { layout }) {
      const { promptLength: K } = layout.shape;
      const { hiddenSize: D } = layout.base;
      if ("queries" in image) return image.queries.length === K * D ? undefined : `queries of ${K} × ${D}`;
      return image.length > 0 && image.length % C === 0 ? undefined : `tokens of ${C}`;
    },

    bind(adapter, model, images) {
      const { layout, params } = adapter;
      const { promptLength: K } = layout.shape;
      const wide = wideArithmeticOf(model.engine);
      const queries = images.map((image) =>
        "queries" in image ? image.queries : visualQueries(adapter, vision, image, wide),
      );
      const rows = promptParts(layout).map(([layer, prompt]): [number, Float32Array] => {
        const prompt_KD = partNumbers(prompt, params);
        const own = new Float32Array(images.length * prompt_KD.length);
        for (const [n, query_KD] of queries.entries()) {
          for (const [i, p] of prompt_KD.entries()) own[n * prompt_KD.length + i] = p + query_KD[i];
        }
        return [layer, own];
      });
      const silent = queries.flatMap((query_KD, n) => (query_KD.every((q) => q === 0) ? [n] : []));
      return imagePrompts(model, new Map(rows), { count: images.length, K, silent: new Set(silent) });
    },

    pullBack(bound, adapter, images, gradient, wide) {
      const { layout } = adapter;
      const size = layout.shape.promptLength * layout.base.hiddenSize;
      const dqueries = images.map(() => new Float64Array(size));
      const parts = new Map(promptParts(layout));
      for (const { layer, dimages } of bound) {
        const prompt = parts.get(layer);
        if (!prompt || !dimages) continue;
        const dprompt_KD = partNumbers(prompt, gradient);
        for (let i = 0; i < size; i++) {
          let sum = dprompt_KD[i];
          for (const [n, dquery_KD] of dqueries.entries()) {
            sum += dimages[n * size + i];
            dquery_KD[i] += dimages[n * size + i];
          }
          dprompt_KD[i] = sum;
        }
      }
      // Queries that were made before are not trained.
      const trained = images.flatMap((tokens_MC, n) =>
        "queries" in tokens_MC ? [] : [{ tokens_MC, dqueries_KD: dqueries[n] }],
      );
      visualQueriesBackward(adapter, vision, trained, gradient, wide);
    },
  };
}

const promptParts = ({ table }: AdapterLayout) =>
  table.flatMap((part): [number, TrainedPart][] =>
    part.part === "prompt" && part.layer !== undefined ? [[part.layer, part]] : [],
  );
