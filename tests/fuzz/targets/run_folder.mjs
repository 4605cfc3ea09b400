/**
 * A run directory with files that are changed, exchanged, cut, removed or replaced by links, with every manifest made again.
 * A run may go on only from a checkpoint with the numbers and the state that it had, and nothing outside of it changes.
 */
import { deepStrictEqual, ok } from "node:assert";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { adapterLayout, adaptionPromptConfig, InputError, initParameters, isZerogateError } from "@zerogate/core";
import { publishDirectory, readModelConfig } from "@zerogate/core/node";
import { loadTemplate } from "@zerogate/data";
import { configHash } from "../../../packages/run-config/dist/config/identity.js";
import { resolveConfig } from "../../../packages/run-config/dist/config/resolve.js";
import { versions } from "../../../packages/run-config/dist/version.js";
import { loadCheckpoint, saveCheckpoint } from "../../../packages/run-files/dist/checkpoint/checkpoint.js";
import { newestCheckpoint } from "../../../packages/run-files/dist/checkpoint/newest.js";
import { chainLine, momentsDigest, paramsDigest } from "../../../packages/run-files/dist/receipt/receipt.js";
import { checkProof } from "../../../packages/trainer/dist/run/check_proof.js";
import { readRunConfig, writeRunConfig } from "../../../packages/trainer/dist/run/run_folder.js";
import { verifyRun } from "../../../packages/trainer/dist/run/verify_run.js";
import { scratchFolder } from "../corpus.mjs";

const folder = scratchFolder();
export const close = folder.remove;
const at = (...names) => join(folder.path, ...names);
const [sound, run, outside] = ["sound", "run", "outside"].map((name) => at(name));
const base = fileURLToPath(new URL("../../../packages/trainer/world/base", import.meta.url));
const model = await readModelConfig(base);
const STEPS = [2, 4];

await writeSound();
const originals = new Map();
for (const step of STEPS) originals.set(step, await loadCheckpoint(join(sound, "checkpoints", `step-${step}`), model));
const files = readdirSync(sound, { recursive: true })
  .filter((name) => lstatSync(join(sound, name)).isFile())
  .toSorted((a, b) => (a < b ? -1 : 1));

/** Four steps whose numbers come from nowhere: what is checked is that they are the receipt's. */
async function writeSound() {
  const flags = { model: base, data: ["d.json"], adapterLen: 2, adapterLayers: 1, steps: 8 };
  const config = resolveConfig({ flags: { ...flags, out: run } });
  const { gateSharing, gateActivation, bos } = config;
  const layout = adapterLayout({ promptLength: 2, adaptedLayers: 1, gateSharing, gateActivation }, model);
  const adapterConfig = { ...adaptionPromptConfig({ adapterLen: 2, adapterLayers: 1 }), targetModules: "self_attn" };
  const promptFormat = { template: await loadTemplate(config.template), bos };
  const word = "ab".repeat(32);
  const hashes = { base: word, data: word, tokenizer: word, plan: word };
  const lines = [];
  let chain;
  const add = (body) => {
    const line = chainLine(chain, body);
    chain = line.chain;
    lines.push(line.text);
  };
  const numbers = (step) => ({
    params: initParameters(layout.table, step, 1),
    moments: {
      m: initParameters(layout.table, 50 + step, 1),
      v: initParameters(layout.table, 90 + step, 1),
      t: [step],
    },
  });
  mkdirSync(sound);
  await writeRunConfig(sound, config);
  const start = { ...versions, engine: "reference", hashes, config: configHash(config) };
  add({ event: "start", version: 2, ...start, params: paramsDigest(numbers(0).params) });
  for (let step = 1; step <= 4; step++) {
    const { params, moments } = numbers(step);
    add({ event: "step", step, loss: 1 / step, params: paramsDigest(params), moments: momentsDigest(moments) });
    if (!STEPS.includes(step)) continue;
    add({ event: "eval", step, loss: 2 / step });
    const best = { step, loss: 2 / step };
    const identity = { seed: 0, engine: "reference", hashes, config: JSON.parse(JSON.stringify(config)), versions };
    const state = { step, epoch: step, ...identity, best, evaluationsWithoutGain: 0, voided: [], receipt: chain };
    await saveCheckpoint(sound, { state, adapterConfig, promptFormat, layout, params, moments });
  }
  writeFileSync(join(sound, "receipt.jsonl"), lines.join(""));
}

/** Most of the corpus is refused, which is what it is there for. */
export const mayRefuse = true;

/** Five bytes a change: what is done, to which file, where, and with which value. */
const program = (...changes) => Uint8Array.from(changes.flat());
const place = (name) => files.indexOf(name);
export const corpus = () => [
  new Uint8Array(),
  program([0, place("checkpoints/step-4/optimizer.safetensors"), 1, 0, 4]),
  program([0, place("checkpoints/step-4/adapter_model.safetensors"), 1, 0, 4]),
  program([0, place("checkpoints/step-4/state.msgpack"), 0, 60, 1], [1, place("receipt.jsonl"), 2, 0, 0]),
  program([2, place("receipt.jsonl"), 0, 0, 1], [3, place("checkpoints/step-2/state.msgpack"), 0, 0, 0]),
  program([4, place("checkpoints/step-2/README.md"), 0, 0, 0], [5, 0, 0, 0, 0]),
];

function change([what, which, high, low, value]) {
  const name = files[which % files.length];
  const path = join(run, name);
  if (!existsSync(path)) return;
  if (lstatSync(path).isSymbolicLink()) return;
  const { length } = readFileSync(path);
  const position = length === 0 ? 0 : (256 * high + low) % length;
  switch (what % 6) {
    case 0: {
      const bytes = readFileSync(path);
      if (length > 0) bytes[position] ^= value;
      writeFileSync(path, bytes);
      return;
    }
    case 1:
      truncateSync(path, position);
      return;
    case 2: // a link to a file outside, inside, or to nothing
      rmSync(path);
      symlinkSync([join(outside, "file"), join(run, "config.json"), join(outside, "new")][value % 3], path);
      return;
    case 3: {
      // the same file of the other checkpoint
      const other = name.replace(/step-(\d)/, (_, step) => `step-${6 - Number(step)}`);
      if (existsSync(join(run, other))) writeFileSync(path, readFileSync(join(run, other)));
      return;
    }
    case 4:
      rmSync(path);
      return;
    default: {
      const [two, four] = STEPS.map((step) => join(run, "checkpoints", `step-${step}`));
      if (!existsSync(two) || !existsSync(four)) return;
      renameSync(two, `${two}.away`);
      renameSync(four, two);
      renameSync(`${two}.away`, four);
    }
  }
}

/** Somebody who changes a checkpoint can make its manifest again. */
async function publishAgain(step) {
  const path = join(run, "checkpoints", `step-${step}`);
  if (!existsSync(path)) return;
  rmSync(join(path, "manifest.json"), { force: true });
  const names = readdirSync(path);
  if (names.some((name) => !lstatSync(join(path, name)).isFile())) return;
  renameSync(path, `${path}.away`);
  await publishDirectory(path, async (into) => {
    for (const name of names) cpSync(join(`${path}.away`, name), join(into, name));
  });
  rmSync(`${path}.away`, { recursive: true });
}

export async function check(bytes) {
  for (const path of [run, outside]) rmSync(path, { recursive: true, force: true });
  cpSync(sound, run, { recursive: true });
  mkdirSync(outside);
  writeFileSync(join(outside, "file"), "untouched");
  for (let begin = 0; begin + 5 <= Math.min(bytes.length, 50); begin += 5) change(bytes.subarray(begin, begin + 5));
  for (const step of STEPS) await publishAgain(step);
  try {
    await lookAt();
  } catch (error) {
    if (isZerogateError(error, "damaged")) throw new InputError("Cannot go on", error.message, { cause: error });
    throw error;
  } finally {
    deepStrictEqual(readdirSync(outside), ["file"]);
    deepStrictEqual(readFileSync(join(outside, "file"), "utf8"), "untouched");
  }
}

async function lookAt() {
  const config = await readRunConfig(run, {});
  const { problems } = await verifyRun(config, model);
  for (const step of STEPS) {
    if (problems.length === 0) await expectOriginal(join(run, "checkpoints", `step-${step}`));
  }
  const newest = await newestCheckpoint(run, model, () => {});
  if (!newest) throw new InputError("Cannot go on", "there is no checkpoint");
  await checkProof(run, newest.folder, newest, model, { isAccepted: () => false, onNote: () => {} });
  await expectOriginal(newest.folder);
}

async function expectOriginal(path) {
  if (!existsSync(path)) return;
  const { params, moments, state, layout } = await loadCheckpoint(path, model);
  const original = originals.get(Number(basename(path).slice("step-".length)));
  ok(original, `${path} is none of the run's`);
  deepStrictEqual(params, original.params);
  deepStrictEqual(moments, original.moments);
  deepStrictEqual(layout, original.layout);
  const { epoch: _, config: __, voided: ___, owesEvaluation: ____, ...proven } = state;
  for (const [key, value] of Object.entries(proven)) deepStrictEqual(value, original.state[key], key);
}
