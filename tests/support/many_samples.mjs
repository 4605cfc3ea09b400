/**
 * `node many_samples.mjs write FILE COUNT` writes a token file of this many samples of 8 to 19 tokens. `… plan FILE STEPS` splits and
 * plans them, takes steps spread over an epoch and packs their first cells, and prints what it took as one JSON object.
 */
import { createHash } from "node:crypto";
import { packSamples } from "@zerogate/core/node";
import { beginningsOf, createPlan, measureSamples, readTokenFile, splitSamples } from "@zerogate/data";
import { writeTokenFile } from "../../packages/data/dist/token_file.js";
import { hashHead, tokenStats } from "../../packages/data/dist/token_set.js";

const [work, path, number] = process.argv.slice(2);
const count = Number(number);

/** Of all samples the same beginning, then their own number. */
function* blocks(offsets, make) {
  for (let first = 0; first < count; first += 10_000) {
    const end = Math.min(count, first + 10_000);
    const part = new make(offsets[end] - offsets[first]);
    for (let sample = first; sample < end; sample++) fill(part, sample, offsets[sample] - offsets[first], offsets);
    yield new Uint8Array(part.buffer);
  }
}

function fill(part, sample, at, offsets) {
  const length = offsets[sample + 1] - offsets[sample];
  if (part instanceof Uint8Array) part.fill(1, at + 5, at + length);
  else for (let i = 0; i < length; i++) part[at + i] = i < 4 ? i : 10 + ((sample >> (3 * (i - 4))) & 7);
}

async function write() {
  const offsets = new Float64Array(count + 1);
  for (let i = 0; i < count; i++) offsets[i + 1] = offsets[i] + 12 + (i % 8);
  const labelled = Int32Array.from({ length: count }, (_, i) => offsets[i + 1] - offsets[i] - 5);
  const files = { folder: "", ids: () => blocks(offsets, Int32Array), target: () => blocks(offsets, Uint8Array) };
  const hash = createHash("sha256").update(hashHead(offsets[count], count));
  for (const part of [files.ids(), files.target()]) for (const bytes of part) hash.update(bytes);
  const tokens = { offsets, labelled, hash: hash.update(new Uint8Array(offsets.buffer)).digest("hex"), files };
  const stats = tokenStats(tokens, { truncated: 0, droppedNoTarget: 0, uncut: { longest: 19, keeping: [] } });
  const recordOf = Int32Array.from({ length: count }, (_, i) => i);
  await writeTokenFile(path, "many", { tokens, recordOf, stats, skipped: 0, problems: [], unread: [], images: [] });
}

async function plan() {
  const begin = performance.now();
  const since = () => (performance.now() - begin) / 1000;
  const { tokens } = await readTokenFile(path);
  const { train, validation } = splitSamples(tokens, { seed: 7, validation: 0.001 });
  const cost = { token: 100, pair: 1, label: 30 };
  const sizes = { ...measureSamples(tokens), beginnings: beginningsOf(tokens) };
  const planned = createPlan({
    ...sizes,
    samples: train,
    seed: 7,
    batchSize: 64,
    cellTokens: 512,
    even: { multiple: 2, cost },
  });
  const plannedAfter = since();
  let [samples, labelled] = [0, 0];
  for (let i = 0; i < count; i++) {
    const step = planned.step(Math.floor((i * planned.stepsPerEpoch) / count));
    samples += step.samples.length;
    const cell = packSamples(tokens, step.cells[0]);
    labelled += cell.rows_R.length;
  }
  const peakBytes = 1024 * process.resourceUsage().maxRSS;
  const facts = {
    train: train.length,
    validation: validation.length,
    samples,
    labelled,
    stepsPerEpoch: planned.stepsPerEpoch,
  };
  process.stdout.write(`${JSON.stringify({ ...facts, plannedAfter, seconds: since(), peakBytes })}\n`);
}

await (work === "write" ? write() : plan());
