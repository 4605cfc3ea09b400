/**
 * How long all devices wait for the leader between two steps: from the last result's arrival to the start of the next step's first
 * cell. Devices take the time of a cell and compute nothing (`zerogate rehearse`); LLaMA-7B's adapter of 1,228,830 numbers. Needs a
 * build, no weights.
 *
 *   node bench/leader.mjs [--devices 8] [--cell-ms 200] [--steps 40] [--rounds 3]
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { resolveConfig } from "../packages/run-config/dist/index.js";
import { rehearse } from "../packages/trainer/dist/command.js";

const { values: options } = parseArgs({
  options: {
    devices: { type: "string", default: "8" },
    "cell-ms": { type: "string", default: "200" },
    steps: { type: "string", default: "40" },
    rounds: { type: "string", default: "3" },
  },
});
const devices = Number(options.devices);
const world = fileURLToPath(new URL("../packages/trainer/world/", import.meta.url));
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

const folder = mkdtempSync(join(tmpdir(), "zerogate-leader-"));
try {
  const model = join(folder, "base");
  cpSync(join(world, "base"), model, { recursive: true, filter: (path) => !path.endsWith(".safetensors") });
  const sizes = { hidden_size: 4096, intermediate_size: 11_008, num_hidden_layers: 32, num_attention_heads: 32 };
  const base = { model_type: "llama", vocab_size: 1024, max_position_embeddings: 2048, rms_norm_eps: 1e-5 };
  writeFileSync(join(model, "config.json"), JSON.stringify({ ...base, ...sizes }));
  const settings = { model, data: join(world, "train.json"), out: ".", cacheDir: join(folder, "cache") };
  const config = resolveConfig({
    settings: { ...settings, batchSize: 16 * devices, cellMultiple: devices, saveEvery: 0 },
  });
  const speed = { cellMs: Number(options["cell-ms"]) };
  for (let round = 1; round <= Number(options.rounds); round++) {
    const { steps, parameters } = await rehearse(config, {
      devices,
      steps: Number(options.steps),
      speed,
      kills: false,
    });
    const counted = steps.slice(5);
    const all = (key) => counted.map((step) => step[key]);
    const shown = ["leaderMs", "reduceMs", "stepMs", "cellMs", "processorMs"].map((key) => {
      return `${key} ${median(all(key)).toFixed(1)} (${Math.min(...all(key)).toFixed(1)})`;
    });
    const head = `round ${round}, ${devices} devices on ${availableParallelism()} cores, ${parameters} numbers`;
    process.stdout.write(`${head}: median (least) of ${counted.length} steps: ${shown.join(", ")}\n`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
