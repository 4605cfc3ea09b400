import { fileURLToPath } from "node:url";
import { adapterLayout, adaptionPromptConfig, initParameters, oneSequence, type SeenImages } from "@zerogate/core";
import {
  answerOf,
  encodePrompt,
  loadTemplate,
  namedChoice,
  rightChoices,
  type ScienceProblem,
  scienceAccuracy,
  scienceRecord,
} from "@zerogate/data";
import { expect, test } from "vitest";
import { openModel } from "../open/model.ts";
import { imageConditions } from "./image_conditions.ts";
import { evaluateScience } from "./science.ts";

const worldBase = fileURLToPath(new URL("../../world/base", import.meta.url));
const SIZE = 5;
const vision = { fusion: "global", featureSize: SIZE, projectionSize: 3, missingImage: "none" } as const;
const noise = (i: number) => Math.sin(12.9898 * (i + 1)) * 2;
const rows = { size: SIZE, values: Float32Array.from({ length: 4 * SIZE }, (_, i) => noise(i)) };
const seen = (...rowOf: number[]): SeenImages => ({ rowOf: Int32Array.from(rowOf), rows });

test("shuffled images are others', the same for the same image, and decided by the seed [V13]", () => {
  const images = seen(2, -1, 0, 2, 3, 1);
  const conditions = imageConditions(images, 5);
  expect(conditions.map(({ name }) => name)).toEqual(["image", "no image", "shuffled images"]);
  const [own, none, others] = conditions.map((condition) => [...(condition.images?.rowOf ?? [])]);
  expect(own).toEqual([2, -1, 0, 2, 3, 1]);
  expect(none).toEqual(own?.map(() => -1));
  expect(others?.[1]).toBe(-1);
  expect(others?.[0]).toBe(others?.[3]);
  expect(own?.filter((row, i) => row >= 0 && others?.[i] === row)).toEqual([]);
  expect(new Set(others?.filter((row) => row >= 0))).toEqual(new Set([0, 1, 2, 3]));
  expect(imageConditions(images, 5)).toEqual(conditions);
  const orders = new Set(
    Array.from({ length: 20 }, (_, seed) => imageConditions(images, seed).at(-1)?.images?.rowOf.join()),
  );
  expect(orders.size).toBeGreaterThan(1);
});

test("where there is one image, or none, nothing is shuffled", () => {
  expect(imageConditions(seen(0, -1, 0), 1).map(({ name }) => name)).toEqual(["image", "no image"]);
  for (const images of [undefined, seen(-1, -1)]) {
    expect(imageConditions(images, 1)).toEqual([{ name: "no image", images: undefined }]);
  }
});

const problem = (id: string, question: string, choices: number, image?: string): ScienceProblem => ({
  id,
  question,
  choices: ["ab", "b", "cab", "d"].slice(0, choices),
  answer: Number(id) % choices,
  hint: "",
  image,
  grade: "grade4",
  subject: "natural science",
  skill: "s",
  lecture: "",
  solution: "",
});

async function setUp() {
  const { model, tokenizer } = await openModel({ model: worldBase });
  const settings = { gateSharing: "scalar", gateActivation: "none" } as const;
  const shape = { promptLength: 2, adaptedLayers: 2, vision, ...settings };
  const { table, length } = adapterLayout(shape, model.base.config);
  const params = initParameters(table, 1);
  for (let i = 0; i < length; i++) params[i] = (params[i] || 1) * noise(i);
  const config = adaptionPromptConfig({ adapterLen: 2, adapterLayers: 2, inferenceMode: true });
  model.addAdapter("seeing", { config, shape, params });
  const problems = [
    problem("1", "which", 2, "a"),
    problem("2", "what is it", 3),
    problem("3", "who", 4, "b"),
    problem("4", "z ".repeat(400), 2, "c"),
    problem("5", "where", 2, "c"),
  ];
  const records = problems.map((one) => scienceRecord(one));
  const format = { template: await loadTemplate("scienceqa"), bos: "tokenizer" } as const;
  const answering = { model, tokenizer, format, eosTokenIds: [tokenizer.eosId] };
  return { answering, questions: { problems, records, images: seen(0, -1, 1, 2, 2) } };
}

test("the likeliest sentence and the greedy text answer, under each condition, and what is too long is wrong [V13]", async () => {
  const { answering, questions } = await setUp();
  const { model, tokenizer, format } = answering;
  const { problems, records, images } = questions;
  const found = await evaluateScience(answering, questions, { seed: 3 });
  expect(found.unanswered).toBe(1);
  const conditions = imageConditions(images, 3);
  expect(found.results.map(({ condition }) => condition)).toEqual(conditions.map(({ name }) => name));
  const V = model.base.config.vocabSize;
  const allChosen: string[] = [];
  for (const [c, { images: own }] of conditions.entries()) {
    const chosen: (number | undefined)[] = [];
    const named: (number | undefined)[] = [];
    for (const [p, record] of records.entries()) {
      const row = own?.rowOf[p] ?? -1;
      const image = row < 0 ? undefined : rows.values.slice(row * SIZE, (row + 1) * SIZE);
      const prompt = encodePrompt(tokenizer, format, record);
      if (prompt.length > 240) {
        chosen.push(undefined);
        named.push(undefined);
        continue;
      }
      const scores: number[] = [];
      for (let choice = 0; choice < (problems[p]?.choices.length ?? 0); choice++) {
        const text = `${record.instruction}\n${record.input}\nAnswer: ${answerOf(choice)}`;
        const ids = [...tokenizer.frontIds("tokenizer"), ...tokenizer.encode(text, { addSpecialTokens: false })];
        const logits = await model.mixedLogits(oneSequence(ids), [image ? { image } : {}]);
        let score = 0;
        for (let t = prompt.length; t < ids.length; t++) {
          const row_V = Array.from(logits.subarray((t - 1) * V, t * V));
          score += (row_V[ids[t] ?? 0] ?? 0) - Math.log(row_V.reduce((sum, z) => sum + Math.exp(z), 0));
        }
        scores.push(score);
      }
      chosen.push(scores.indexOf(Math.max(...scores)));
      const ids: number[] = [];
      const options = { maxNewTokens: 16, eosTokenIds: [tokenizer.eosId], ...(image && { image }) };
      for await (const id of model.generate(prompt, options)) ids.push(id);
      named.push(namedChoice(tokenizer.decode(ids)));
    }
    allChosen.push(chosen.join());
    expect(found.results[c]?.options).toEqual(scienceAccuracy(problems, rightChoices(problems, chosen)));
    expect(found.results[c]?.greedy).toEqual(scienceAccuracy(problems, rightChoices(problems, named)));
    expect(found.results[c]?.failed).toBe(named.filter((one) => one === undefined).length / problems.length);
  }
  expect(new Set(allChosen).size, "images matter").toBeGreaterThan(1);
});

test("an abort ends it with its reason", async () => {
  const { answering, questions } = await setUp();
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(evaluateScience(answering, questions, { seed: 1, signal })).rejects.toThrow("enough");
});
