/** Whether a run may go on, and with what: each thing that decides bits, changed alone. */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DamagedError, InputError } from "@zerogate/core";
import { versions } from "@zerogate/run-config";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { copyOf, openPlace, sixSteps, textOf } from "../../../zerogate/test/here.ts";
import { readAccepted, writeAccepted } from "./accepted.ts";
import { openInputs, type RunInputs } from "./inputs.ts";
import { acceptEngine, checkAcceptedFields, openCheckpoint } from "./resume.ts";
import { readRunConfig, readStoredConfig, writeRunConfig } from "./run_folder.ts";

const place = openPlace();
const { at } = place;
let inputs: RunInputs;
let run: string;
let count = 0;
beforeAll(async () => {
  const flags = sixSteps(place, "whole", { "--keep-checkpoints": "9", "--adapter-layers": "2" });
  expect(await place.run(flags)).toMatchObject({ code: 0 });
  inputs = await openOf(at("whole"));
});
beforeEach(() => {
  run = copyOf(place, "whole", `copy-${count++}`);
});

const openOf = async (out: string, flags: Readonly<Record<string, unknown>> = {}) => {
  const config = await readRunConfig(out, { cacheDir: at("cache"), ...flags });
  const { signal } = new AbortController();
  return await openInputs(config, { onPhase() {}, onWarning() {}, signal });
};

/** Opens the run as `resume` does. */
async function open(wish: { flags?: Readonly<Record<string, unknown>>; accept?: string[]; inputs?: RunInputs } = {}) {
  const { flags = {}, accept = [], inputs: own = inputs } = wish;
  const [notes, warnings]: [string[], string[]] = [[], []];
  const config = await readRunConfig(run, { cacheDir: at("cache"), ...flags });
  const point = await openCheckpoint(own, {
    config,
    accept,
    onNote: (note) => notes.push(note),
    onWarning: (warning) => warnings.push(warning),
  });
  return { point, notes, warnings, config };
}
const refusal = async (wish: Parameters<typeof open>[0] = {}) => {
  const error = await open(wish).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InputError);
  return error as InputError;
};
const otherHash = (name: keyof RunInputs["hashes"]): RunInputs => ({
  ...inputs,
  hashes: { ...inputs.hashes, [name]: "e".repeat(64) },
});
/** A run that ended before its first checkpoint. */
const withoutCheckpoints = () => rmSync(join(run, "checkpoints"), { recursive: true });

test("a run that is as it was goes on from its newest checkpoint without a word", async () => {
  const { point, notes, warnings } = await open({ accept: ["lr"] });
  expect(point.checkpoint?.state.step).toBe(6);
  expect(point).toMatchObject({ accepted: [], accept: ["lr"], floor: 0 });
  expect([notes, warnings]).toEqual([[], []]);
  expect(existsSync(join(run, "accepted.json"))).toBe(false);
});

test.each([
  ["base", "the base model's files changed"],
  ["data", "the data, its tokens or what is held out changed"],
  ["tokenizer", "the tokenizer changed"],
  ["plan", "the order of the samples changed"],
] as const)(
  "another %s is refused in words, accepted by name, and known from then on at this checkpoint only",
  async (name, means) => {
    const other = otherHash(name);
    expect((await refusal({ inputs: other })).problems).toEqual([
      means,
      `to go on all the same, with this recorded in the run: --accept-change ${name}`,
    ]);
    await refusal({ inputs: other, accept: ["lr"] });
    expect(existsSync(join(run, "accepted.json"))).toBe(false);
    const { point, notes } = await open({ inputs: other, accept: [name] });
    const change = { field: name, was: inputs.hashes[name], is: "e".repeat(64) };
    expect(point.accepted).toEqual([change]);
    expect(notes).toEqual([`${means}: accepted`]);
    expect(await readAccepted(run)).toEqual([{ step: 6, ...change }]);
    expect((await open({ inputs: other })).point).toMatchObject({ accepted: [change], floor: 6 });
    expect(await readAccepted(run)).toHaveLength(1);
    rmSync(join(run, "checkpoints", "step-6"), { recursive: true });
    await refusal({ inputs: other });
  },
);

test("another version of Node or of zerogate is refused with both, and what it may change", async () => {
  const now = { ...versions };
  try {
    Object.assign(versions, { node: "v99.0.0" });
    expect((await refusal()).problems[0]).toBe(
      `node was ${now.node}, is v99.0.0: another version may compute exp, cos and others otherwise`,
    );
    Object.assign(versions, { ...now, zerogate: "9.9.9" });
    expect((await refusal()).problems).toEqual([
      `zerogate was ${now.zerogate}, is 9.9.9: another version may compute otherwise`,
      "to go on all the same, with this recorded in the run: --accept-change zerogate",
    ]);
  } finally {
    Object.assign(versions, now);
  }
});

test("a key that decides bits is refused, and once it is accepted it is the run's", async () => {
  const both = { lr: "0.5", beta1: "0.5" };
  expect((await refusal({ flags: both })).problems.at(-1)).toMatch(/--accept-change \S+ --accept-change \S+$/);
  await refusal({ flags: both, accept: ["lr"] });
  const { point, notes } = await open({ flags: { lr: "0.5" }, accept: ["lr"] });
  expect(point.accepted).toMatchObject([{ field: "lr", is: "0.5" }]);
  expect(notes).toEqual([expect.stringMatching(/^lr was .*, is 0\.5: it decides the trained bits: accepted$/)]);
  expect((await readStoredConfig(run)).lr).toBe(0.5);
  expect((await open()).point.accepted).toMatchObject([{ field: "lr" }]); // without a flag: the stored one says it now
});

test("what the finished adapter is may change freely, and is stored, nothing else of the call is", async () => {
  const { notes } = await open({ flags: { adapterFrom: "last", adapterDtype: "bf16", keepCheckpoints: "2" } });
  expect(notes.toSorted()).toEqual([
    'adapterDtype was "f32", is "bf16": allowed, it changes nothing of what is trained',
    'adapterFrom was "best", is "last": allowed, it changes nothing of what is trained',
    "keepCheckpoints was 9, is 2: allowed, it changes nothing of what is trained",
  ]);
  expect(await readStoredConfig(run)).toMatchObject({ adapterFrom: "last", adapterDtype: "bf16", keepCheckpoints: 9 });
});

test("if a change is compared by what it stands for, that is said; places of a run are nobody's business", async () => {
  expect((await open({ flags: { data: [at("held.json")] } })).notes).toEqual([
    expect.stringMatching(/^data was .*held\.json"\]: allowed, what it stands for is compared$/),
  ]);
  const stored = await readStoredConfig(run);
  await writeRunConfig(run, { ...stored, cacheDir: at("elsewhere") });
  expect((await open()).notes).toEqual([
    `the cache folder in the stored config is not used, as a run must not say where else is written: --cache-dir ${at("elsewhere")} does so`,
  ]);
  expect((await open({ flags: { cacheDir: at("elsewhere") } })).notes).toEqual([]);
});

test("no rollback goes back behind what was changed by consent up to the checkpoint", async () => {
  const record = (step: number) => ({ step, field: "lr", was: "1", is: String(step) });
  await writeAccepted(run, [record(2), record(4), record(9)]);
  expect((await open()).point.floor).toBe(4);
  await writeAccepted(run, [record(6)]);
  expect((await open()).point.floor).toBe(6);
});

test("an adapter of another shape cannot go on, whatever is accepted", async () => {
  const wide = await openOf(run, { adapterLen: "3" });
  const error = await refusal({ inputs: wide, flags: { adapterLen: "3" }, accept: ["adapterLen", "plan"] });
  expect(error.message).toMatch(
    /^Cannot resume \S+ with an adapter of another shape: it has \d+ numbers, the config asks/,
  );
});

test("a checkpoint that nothing proves needs consent, which is recorded", async () => {
  rmSync(join(run, "receipt.jsonl"));
  const error = await open().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DamagedError);
  expect(String(error)).toContain("receipt.jsonl is missing, so nothing proves what was trained up to there");
  const { point } = await open({ accept: ["receipt"] });
  expect(point.accepted).toMatchObject([{ field: "receipt", is: "not there" }]);
  expect(await readAccepted(run)).toMatchObject([{ step: 6, field: "receipt" }]);
  expect((await open()).point.accepted).toHaveLength(1);
});

test("a run without a checkpoint starts again, compared with what its receipt begins with", async () => {
  withoutCheckpoints();
  const { point, warnings } = await open();
  expect(point).toMatchObject({ checkpoint: undefined, accepted: [], floor: 0 });
  expect(warnings).toEqual([
    "the run ended before its first checkpoint: it starts again from its first step, to the same result",
  ]);
  expect((await refusal({ inputs: otherHash("data") })).problems[0]).toContain("the data");
  expect((await refusal({ flags: { lr: "0.5" } })).problems[0]).toContain("lr was");
  const changed = await open({ flags: { lr: "0.5" }, accept: ["lr"] });
  expect(changed.point.accepted).toEqual([]); // it is a new run: nothing of the old one goes on
  expect(await readAccepted(run)).toMatchObject([{ step: 0, field: "lr" }]);
  expect((await readStoredConfig(run)).lr).toBe(0.5);
  await open(); // the stored config is no longer that of the receipt, by consent
});

test("a stored config that somebody changed is refused before the first checkpoint, as it is not what the run began with", async () => {
  withoutCheckpoints();
  await writeRunConfig(run, { ...(await readStoredConfig(run)), lr: 0.5 });
  expect((await refusal()).message).toMatch(/its config\.json is not that which it began with: start it again with /);
  rmSync(join(run, "receipt.jsonl"));
  await open(); // nothing says what it began with
});

test("before the first checkpoint another adapter to begin with is refused by its numbers, accepted by name, and stored", async () => {
  await place.run(sixSteps(place, `other-${count}`, { "--seed": "8", "--adapter-layers": "2", "--steps": "2" }));
  const [one, two] = [at("whole/adapter"), at(`other-${count}/adapter`)];
  const began = await place.run(sixSteps(place, `begun-${count}`, { "--init-adapter": one }));
  expect(began).toMatchObject({ code: 0 });
  run = at(`begun-${count}`);
  withoutCheckpoints();
  const own = await openOf(run);
  const other = await openOf(run, { initAdapter: two });
  expect((await open({ inputs: own })).notes).toEqual([]);
  const error = await refusal({ inputs: other, flags: { initAdapter: two } });
  expect(error.problems).toEqual([
    "the numbers that training begins with changed",
    "to go on all the same, with this recorded in the run: --accept-change initAdapter",
  ]);
  await refusal({ inputs: other }); // other numbers under the same name
  const copied = join(run, "..", `moved-${count}`);
  copyOf(place, "whole/adapter", `moved-${count}`);
  expect((await open({ inputs: own, flags: { initAdapter: copied } })).notes).toEqual([]); // the same numbers elsewhere
  const { notes } = await open({ inputs: other, flags: { initAdapter: two }, accept: ["initAdapter"] });
  expect(notes).toEqual(["the numbers that training begins with changed: accepted"]);
  expect((await readStoredConfig(run)).initAdapter).toBe(two);
  rmSync(join(run, "accepted.json"));
  rmSync(join(run, "receipt.jsonl"));
  expect((await refusal({ inputs: own, flags: { initAdapter: one } })).problems[0]).toContain("initAdapter was");
});

test("behind the first checkpoint an adapter to begin with changes nothing, and a note says so", async () => {
  expect((await open({ flags: { initAdapter: at("whole/adapter") } })).notes).toEqual([
    expect.stringMatching(/^initAdapter was not set, is .*: allowed, it changes nothing of what is trained$/),
  ]);
});

test("another engine is compared when it runs: refused, accepted by name, of no matter without a checkpoint", async () => {
  const { point, config } = await open();
  const said: string[] = [];
  const engineOf = (engine: string, accept: string[] = [], checkpoint = point.checkpoint) =>
    acceptEngine(config, { ...point, accept, checkpoint }, engine, (note) => said.push(note));
  expect(await engineOf("reference")).toEqual([]);
  await expect(engineOf("cpu/avx2")).rejects.toThrow(
    "engine was reference, is cpu/avx2: its numbers would no longer be those of one engine",
  );
  expect(await engineOf("cpu/avx2", ["engine"])).toEqual([{ field: "engine", was: "reference", is: "cpu/avx2" }]);
  expect(await readAccepted(run)).toMatchObject([{ step: 6, field: "engine" }]);
  expect(said).toHaveLength(1);
  expect(await engineOf("cpu/avx2")).toHaveLength(1);
  const none = await acceptEngine(config, { ...point, checkpoint: undefined }, "wasm", () => {});
  expect(none).toEqual([]);
});

test("only names of what can change are accepted, with the nearest one", () => {
  expect(() => checkAcceptedFields(["base", "lr", "initAdapter", "receipt", "data"])).not.toThrow();
  expect(() => checkAcceptedFields(["initadapter", "qqqqqqq"])).toThrow(
    /there is no "initadapter": did you mean "initAdapter"\?\n.*there is no "qqqqqqq"$/,
  );
});

test("a folder that is no run is none", async () => {
  run = at(`empty-${count}`);
  mkdirSync(run);
  await expect(open()).rejects.toThrow("there is no config.json in it");
  expect(textOf(at("whole"), "config.json")).toBe(readFileSync(at("whole/config.json"), "utf8"));
});
