/** Compares sampling with what transformers' processors make of logits (make_sampling_values.py). */
import { expect } from "vitest";
import { penalised } from "../src/generate/penalties.ts";
import { candidates, sampleToken } from "../src/generate/sample.ts";

interface SamplingValues {
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
  readonly cases: readonly {
    readonly settings: Readonly<Record<string, unknown>>;
    readonly logits: readonly number[];
    /** After all processors. */
    readonly probabilities: readonly number[];
  }[];
}

/** Expects the same tokens, each with the same probability. */
export function expectSampling({ prompt, answer, cases }: SamplingValues): void {
  const before = { ids: [...prompt, ...answer], promptLength: prompt.length };
  for (const { settings, logits, probabilities } of cases) {
    const { temperature, top_k, top_p, min_p, repetition_penalty, bias } = settings as Record<string, number> & {
      bias?: Record<number, number>;
    };
    const options = {
      ...(temperature !== undefined && { temperature }),
      ...(top_k !== undefined && { topK: top_k }),
      ...(top_p !== undefined && { topP: top_p }),
      ...(min_p !== undefined && { minP: min_p }),
      ...(repetition_penalty !== undefined && { repetitionPenalty: repetition_penalty }),
      ...(bias && { logitBias: bias }),
    };
    const z_V = Float32Array.from(logits);
    const changed_V = penalised(z_V, options, before);
    const best = changed_V.indexOf(Math.max(...changed_V));
    expect(sampleToken(z_V, 0, { ...options, temperature: 0 }, before)).toBe(best);
    const ranked = candidates(changed_V, best, options);
    const kept = probabilities
      .flatMap((p, id) => (p > 0 ? [{ p, id }] : []))
      .toSorted((a, b) => b.p - a.p || a.id - b.id);
    const title = JSON.stringify(settings);
    let sum = 0;
    for (const { p, id } of kept) {
      if (p > 1e-4)
        expect([ranked.at(sum + 0.01 * p), ranked.at(sum + 0.99 * p)], `${title}: token ${id}`).toEqual([id, id]);
      sum += p;
    }
    if ((kept.at(-1)?.p ?? 0) > 1e-4) expect(ranked.at(1 - 1e-9), `${title}: the last`).toBe(kept.at(-1)?.id);
  }
}
