/** Held-out prompts answered in writing by a base and an adapter, and how near the answers are to the expected ones. */
import { scoreWritten, type WrittenAnswer, type WrittenDifference, type WrittenResult } from "@zerogate/data";
import type { AdapterVersion, DevicePool } from "@zerogate/workers";
import type { HeldOut } from "../open/data.ts";
import type { RunInputs } from "../run/inputs.ts";
import { askedSamples, writeAnswers } from "../run/samples.ts";

/** What answers. */
export interface WrittenAnswering extends Pick<RunInputs, "tokenizer" | "template" | "model"> {
  readonly pool: Pick<DevicePool, "generateAll">;
  readonly heldOut: HeldOut;
  /** Undefined: the base alone. */
  readonly models: readonly { readonly name: string; readonly adapter: AdapterVersion | undefined }[];
  /** The first samples of the set. */
  readonly count: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What the answers are worth. */
export interface WrittenEvaluation {
  readonly answers: number;
  readonly results: readonly WrittenResult[];
  readonly differences: readonly WrittenDifference[];
}

/** Longest answer, in tokens. */
const MAX_TOKENS = 512;
/** Prompts that are answered together. */
const BATCH = 64;

/** Writes greedy answers of all models and compares them with the expected ones: the same for any number of workers. */
export async function evaluateWritten(answering: WrittenAnswering): Promise<WrittenEvaluation> {
  const { pool, heldOut, models, count, onProgress, signal } = answering;
  const asked = askedSamples(heldOut, answering, count);
  const answers: WrittenAnswer[] = [];
  for (let at = 0; at < asked.length; at += BATCH) {
    signal?.throwIfAborted();
    onProgress?.(at, asked.length);
    const batch = asked.slice(at, at + BATCH);
    const written: string[][] = [];
    for (const { adapter } of models) {
      written.push(await writeAnswers(pool, heldOut, answering, batch, adapter, MAX_TOKENS));
    }
    for (const [i, { expected }] of batch.entries()) {
      answers.push({ expected, texts: written.map((texts) => texts[i] ?? "") });
    }
  }
  const names = models.map(({ name }) => name);
  return { answers: answers.length, ...scoreWritten(names, answers) };
}
