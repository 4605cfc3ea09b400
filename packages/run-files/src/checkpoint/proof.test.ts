/** What a receipt proves of a checkpoint: each of its facts, changed alone, is a problem, and what it cannot prove is not. */
import { adapterLayout, initParameters, parseModelConfig } from "@zerogate/core";
import { adapterLayoutOn } from "@zerogate/core/formats";
import { configHash, resolveConfig } from "@zerogate/run-config";
import { expect, test } from "vitest";
import { chainLine, momentsDigest, paramsDigest, type ReceiptBody, type ReceiptLine } from "../receipt/receipt.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { proofOf } from "./proof.ts";

const sizes = { model_type: "llama", vocab_size: 8, hidden_size: 4, intermediate_size: 8, num_hidden_layers: 5 };
const model = parseModelConfig({ ...sizes, num_attention_heads: 2, max_position_embeddings: 64 }, "config.json");
const config = resolveConfig({ flags: { model: "m", data: ["d"], out: "o", adapterLen: "2", seed: "7" } });
const shape = { promptLength: 2, adaptedLayers: 3, gateSharing: "per-head", gateActivation: "tanh" } as const;
const layout = adapterLayout(
  { ...shape, gateSharing: config.gateSharing, gateActivation: config.gateActivation },
  model,
);
const hashes = { base: "b", data: "d", tokenizer: "t", plan: "p" };
const numbersAt = (step: number) => ({
  params: initParameters(layout.table, step + 1),
  moments: {
    m: new Float32Array(layout.length).fill(step),
    v: new Float32Array(layout.length).fill(2 * step),
    t: [step],
  },
});

const start: ReceiptBody & { event: "start" } = {
  event: "start",
  version: 2,
  zerogate: "0.2.0",
  node: "v20",
  engine: "reference",
  hashes,
  config: configHash(config),
  params: paramsDigest(numbersAt(0).params),
};
const stepLine = (step: number, t = step): ReceiptBody => {
  const { params, moments } = numbersAt(step);
  return { event: "step", step, loss: 1, params: paramsDigest(params), moments: momentsDigest({ ...moments, t: [t] }) };
};
const evaluation = (step: number, loss: number): ReceiptBody => ({ event: "eval", step, loss });

function chained(bodies: readonly ReceiptBody[]): ReceiptLine[] {
  let chain: string | undefined;
  return bodies.map((body) => {
    chain = chainLine(chain, body).chain;
    return { ...body, chain };
  });
}

/** A checkpoint after these lines, as the run would have made it. */
function at(step: number, lines: readonly ReceiptLine[], state: Partial<Checkpoint["state"]> = {}): Checkpoint {
  return {
    state: {
      step,
      epoch: step,
      seed: 7,
      engine: "reference",
      hashes,
      config: JSON.parse(JSON.stringify(config)),
      versions: { zerogate: "0.2.0", node: "v20" },
      evaluationsWithoutGain: 0,
      voided: [],
      receipt: lines.at(-1)?.chain ?? "",
      ...state,
    },
    adapterConfig: {} as Checkpoint["adapterConfig"],
    layout,
    ...numbersAt(step),
  };
}
const prove = (lines: readonly ReceiptLine[], checkpoint: Checkpoint) => proofOf({ lines }, checkpoint, model);
const whole = [start, evaluation(0, 5), stepLine(1), evaluation(1, 3), stepLine(2), evaluation(2, 4), stepLine(3)];
const best = { best: { step: 1, loss: 3 }, evaluationsWithoutGain: 1 };
const right = { kind: "known", problems: [], notes: [] };
const problemsOf = (lines: readonly ReceiptLine[], checkpoint: Checkpoint) => {
  const proof = prove(lines, checkpoint);
  return proof.kind === "known" ? proof.problems : proof.kind;
};

test("a checkpoint that agrees with its receipt is right, at each of its lines and before any others [T-B1]", () => {
  const lines = chained(whole);
  const upTo = (count: number) => lines.slice(0, count);
  expect(prove(lines, at(0, upTo(1)))).toEqual(right);
  expect(prove(lines, at(0, upTo(2)))).toEqual(right); // the base is no best
  expect(prove(lines, at(1, upTo(3)))).toEqual(right);
  expect(prove(lines, at(1, upTo(4), { best: { step: 1, loss: 3 } }))).toEqual(right);
  expect(prove(lines, at(2, upTo(6), best))).toEqual(right);
  expect(prove(lines, at(3, lines, best))).toEqual(right);
});

const at3 = (state: Partial<Checkpoint["state"]> = {}) => at(3, chained(whole), { ...best, ...state });
const changed = (array: Float32Array) => array.map((x, i) => (i === 3 ? x + 1 : x));

test.each<[what: string, change: (right: Checkpoint) => Checkpoint, problem: string]>([
  ["parameters", (c) => ({ ...c, params: changed(c.params) }), "its parameters are not those of the receipt"],
  [
    "a mean",
    (c) => ({ ...c, moments: { ...c.moments, m: changed(c.moments.m) } }),
    "its moments are not those of the receipt",
  ],
  ["a mean square", (c) => ({ ...c, moments: { ...c.moments, v: changed(c.moments.v) } }), "its moments are not"],
  ["the engine", () => at3({ engine: "cpu" }), "its engine is not that of the receipt"],
  ["the version", () => at3({ versions: { zerogate: "9", node: "v20" } }), "its zerogate is not that of the receipt"],
  ["Node's version", () => at3({ versions: { zerogate: "0.2.0", node: "v9" } }), "its node is not that of the receipt"],
  ["the base", () => at3({ hashes: { ...hashes, base: "x" } }), "its base is not that of the receipt"],
  ["the plan", () => at3({ hashes: { ...hashes, plan: "x" } }), "its plan is not that of the receipt"],
  ["the seed", () => at3({ seed: 8 }), "its seed is not that of its config"],
  ["the config", (c) => at3({ config: { ...c.state.config, lr: 0.5 } }), "its config is not that of the receipt"],
  ["a skipped step", () => at3({ voided: [{ step: 1, reason: "x" }] }), "it skipped other steps than the receipt"],
  ["the best step", () => at3({ best: { step: 2, loss: 3 } }), "its best validation is not that of the receipt"],
  ["the best loss", () => at3({ best: { step: 1, loss: 2 } }), "its best validation is not that of the receipt"],
  ["no best", () => at3({ best: undefined }), "its best validation is not that of the receipt"],
  [
    "the count of validations",
    () => at3({ evaluationsWithoutGain: 0 }),
    "it counts 0 validations without a gain, the receipt 1",
  ],
  [
    "layout",
    (c) => ({ ...c, layout: { ...c.layout, gateActivation: "tanh" } }),
    "its adapter has another shape than its config",
  ],
])("another %s is found out [T-B1]", (_, change, problem) => {
  const problems = problemsOf(chained(whole), change(at3()));
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(problem);
});

test("another count of updates and another step are found out, the former in the digest of moments too [T-B1]", () => {
  const counted = { ...at3(), moments: { ...at3().moments, t: [2] } };
  expect(problemsOf(chained(whole), counted)).toEqual([
    "its moments are not those of the receipt",
    "it counts 2 updates, the receipt 3",
  ]);
  expect(problemsOf(chained(whole), at3({ step: 4 }))).toEqual([
    "its state is that of step 4, the receipt's of step 3",
  ]);
});

test("a checkpoint of the start has the start's numbers and no moments [T-B1]", () => {
  const lines = chained([start]);
  expect(problemsOf(lines, { ...at(0, lines), params: numbersAt(1).params })).toEqual([
    "its parameters are not those of the receipt",
  ]);
  const { m, v } = numbersAt(0).moments;
  expect(problemsOf(lines, { ...at(0, lines), moments: { m: changed(m), v, t: [0] } })).toEqual([
    "its moments are not those of the receipt",
  ]);
});

test("a skipped step changes no number, and is in the state with its reason [T-B1]", () => {
  const skipped: ReceiptBody[] = [start, stepLine(1), { event: "void", step: 2, reason: "NaN" }];
  const lines = chained(skipped);
  const voided = [{ step: 1, reason: "NaN" }];
  const checkpoint = { ...at(2, lines, { voided }), ...numbersAt(1) };
  expect(prove(lines, checkpoint)).toEqual(right);
  // A rollback voids steps that are still to come: they are in no line yet.
  const later = { ...checkpoint, state: { ...checkpoint.state, voided: [...voided, { step: 2, reason: "later" }] } };
  expect(prove(lines, later)).toEqual(right);
  for (const other of [[], [{ step: 0, reason: "NaN" }], [{ step: 1, reason: "other" }]]) {
    const wrong = { ...checkpoint, state: { ...checkpoint.state, voided: other } };
    expect(problemsOf(lines, wrong)).toEqual(["it skipped other steps than the receipt"]);
  }
});

test("of equal losses the first is the best, and each later one counts as without a gain [T-B1]", () => {
  const lines = chained([start, stepLine(1), evaluation(1, 3), stepLine(2), evaluation(2, 3)]);
  expect(prove(lines, at(2, lines, best))).toEqual(right);
});

test("a validation that a state owes must not be in the receipt; one of another step may [T-B1]", () => {
  const lines = chained([start, stepLine(1), evaluation(1, 3), stepLine(2)]);
  const state = { best: { step: 1, loss: 3 }, owesEvaluation: true };
  expect(prove(lines, at(2, lines, state))).toEqual(right);
  const has = chained([start, stepLine(1), evaluation(1, 3)]);
  expect(problemsOf(has, at(1, has, state))).toEqual(["it owes a validation that the receipt has"]);
});

test("what was changed by consent is compared with what it became [T-B1]", () => {
  const accepted = (field: string, was: string, is: string): ReceiptBody => ({
    event: "accepted",
    step: 1,
    field,
    was,
    is,
  });
  const lr = accepted("lr", JSON.stringify(config.lr), "0.5");
  const lines = chained([start, stepLine(1), accepted("node", "v20", "v21"), accepted("data", "d", "e"), lr]);
  const changedState = {
    versions: { zerogate: "0.2.0", node: "v21" },
    hashes: { ...hashes, data: "e" },
    config: { ...JSON.parse(JSON.stringify(config)), lr: 0.5 },
  };
  expect(prove(lines, at(1, lines, changedState))).toEqual(right);
  expect(problemsOf(lines, at(1, lines))).toEqual([
    "its data is not that of the receipt",
    "its node is not that of the receipt",
    "its config is not that of the receipt",
  ]);
  // A checkpoint from before the consent does not hold it.
  expect(prove(lines, at(1, lines.slice(0, 2)))).toEqual(right);
});

test("receipts of 0.1.0 have no digest of the moments, which is a note; one that lost it is a problem [T-B1]", () => {
  const { moments: _, ...bare } = stepLine(1) as ReceiptBody & { event: "step" };
  const old = chained([{ ...start, version: 1 }, bare]);
  expect(prove(old, at(1, old))).toEqual({
    kind: "known",
    problems: [],
    notes: ["the receipt, of an earlier version, has no digest of the moments"],
  });
  expect(problemsOf(old, { ...at(1, old), params: numbersAt(2).params })).toHaveLength(1);
  const lost = chained([start, bare]);
  expect(problemsOf(lost, at(1, lost))).toEqual(["the receipt has lost the digest of its moments"]);
});

test("a line that the receipt does not have is unknown, one that a gap passed over is in the gap [T-B1]", () => {
  const before = chained([start, stepLine(1), stepLine(2), stepLine(3)]);
  const bodies: ReceiptBody[] = [
    start,
    stepLine(1),
    { event: "gap", step: 3, before: before[3]?.chain ?? "" },
    stepLine(4),
  ];
  const lines = chained(bodies);
  expect(problemsOf(lines, at(3, before))).toBe("gap"); // the checkpoint that the gap names
  expect(problemsOf(lines, at(2, before.slice(0, 3)))).toBe("gap"); // one of the lines that were lost
  expect(problemsOf(lines, at(1, [], { receipt: "e".repeat(64) }))).toBe("gap"); // another link behind step 1
  expect(problemsOf(lines, at(0, [], { receipt: "e".repeat(64) }))).toBe("unknown");
  expect(problemsOf(lines, at(3, [], { receipt: "e".repeat(64) }))).toBe("unknown");
  expect(problemsOf(lines, at(5, [], { receipt: "e".repeat(64) }))).toBe("unknown");
  const headless = chained([{ event: "gap", step: 3, before: "a".repeat(64) }, stepLine(4)]);
  expect(problemsOf(headless, at(0, [], { receipt: "e".repeat(64) }))).toBe("gap"); // nothing is known from before
  expect(problemsOf(before, at(2, [], { receipt: "e".repeat(64) }))).toBe("unknown");
});

test("behind a gap numbers are compared, history is not, for it is lost [T-B1]", () => {
  const gap: ReceiptBody = { event: "gap", step: 3, before: "a".repeat(64) };
  const lines = chained([start, stepLine(1), gap, stepLine(4)]);
  const state = { seed: 9, engine: "other", best: { step: 9, loss: 0 } };
  expect(prove(lines, at(4, lines, state))).toEqual(right);
  expect(problemsOf(lines, { ...at(4, lines), params: numbersAt(1).params })).toEqual([
    "its parameters are not those of the receipt",
  ]);
  expect(problemsOf(lines, at(5, lines, state))).toContain("its state is that of step 5, the receipt's of step 4");
  const atGap = lines.slice(0, 3);
  expect(prove(lines, { ...at(3, atGap), ...numbersAt(8), state: at(3, atGap).state })).toEqual(right);
  const headless = chained([gap, stepLine(4)]);
  expect(prove(headless, at(4, headless, state))).toEqual(right);
});

test("if training began with another adapter, or layers by default, the shape follows from the config only in the latter", () => {
  const lines = chained([{ ...start, config: configHash({ ...config, adapterLayers: undefined }) }]);
  const stored = { ...JSON.parse(JSON.stringify(config)) } as Record<string, unknown>;
  delete stored["adapterLayers"];
  expect(prove(lines, at(0, lines, { config: stored }))).toEqual(right); // five layers, all but two of them adapted
  const from = { ...config, initAdapter: "elsewhere" };
  const other = chained([{ ...start, config: configHash(from) }]);
  const free = { ...at(0, other, { config: JSON.parse(JSON.stringify(from)) }) };
  expect(
    prove(other, { ...free, layout: adapterLayoutOn({ ...layout.shape, gateActivation: "tanh" }, layout.base) }),
  ).toEqual(right);
});
