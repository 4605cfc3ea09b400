/**
 * Rates of the CPU engine's matrix products against the processor's peak. Needs a build and a C++ compiler.
 *
 *   node bench/cpu_gemm.mjs [rounds] [threads, for example 1,2] [compute, for example f32,bf16] [rows, for example 128,512] [packing: off,on] \
 *     [weights, for example bf16,i8,nf4,i4]
 *
 * Checks 24 numbers of every product against float64, then times all in turn, round after round, each just after the peak of
 * as many threads, and prints medians. One thread is timed by the process's processor time, which other programs disturb
 * less; several by the clock. The peak is always by processor time.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { dequantize, isScaled, quantize } from "../packages/core/dist/engine.js";
import { createEngine, probe } from "../packages/engine-cpu/dist/index.js";
import { levels } from "../packages/engine-cpu/scripts/toolchain.mjs";

const list = (text, fallback) => (text ? text.split(",") : fallback);
const rounds = Number(process.argv[2] ?? 5);
const threadCounts = list(process.argv[3], ["1", "2"]).map(Number);
const computes = list(process.argv[4], probe().bf16Levels.includes(probe().level) ? ["f32", "bf16"] : ["f32"]);
const packings = list(process.argv[6], ["off", "on"]);
const dtypes = list(process.argv[7], ["bf16"]);
const rowCounts = list(process.argv[5], ["128", "512", "2048"]).map(Number);
const shapes = [
  [288, 768],
  [576, 1536],
  [2048, 5632],
  [4096, 11008],
];

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const folder = mkdtempSync(join(tmpdir(), "zerogate-peak-"));
const peakProgram = join(folder, "peak");
const source = fileURLToPath(new URL("cpu_peak.cc", import.meta.url));
// Of the instruction set that the products use, not of the best that the machine has.
execFileSync("c++", ["-O3", "-std=c++17", ...levels.x64[probe().level], "-pthread", source, "-o", peakProgram]);
const peak = (threads) =>
  execFileSync(peakProgram, [String(threads), "0.02"], { encoding: "utf8" })
    .split(" ")
    .map(Number);

/** Numbers that bf16 holds exactly, so that both compute types have the same truth. */
function numbers(length, seed) {
  const out = new Float32Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = ((state >>> 24) - 128) / 128;
  }
  return out;
}

function bf16Weight(values, N, K) {
  const halves = new Uint16Array(new SharedArrayBuffer(2 * values.length));
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) halves[i] = bits[i] >>> 16;
  return { dtype: "bf16", shape: [N, K], bytes: new Uint8Array(halves.buffer) };
}

/** A weight as an engine is given it, and the numbers that it stands for. */
function weightOf(dtype, values, N, K) {
  if (!isScaled(dtype)) return { tensor: bf16Weight(values, N, K), numbers: values };
  const bytes = quantize(dtype, values, [N, K], "weight");
  return { tensor: { dtype, shape: [N, K], bytes }, numbers: dequantize(dtype, bytes, [N, K]) };
}

async function check(engine, { backward, compute }, values, x, y, { M, N, K }) {
  const out = await engine.read(y);
  const width = backward ? K : N;
  let scale = 0;
  for (const value of out) scale = Math.max(scale, Math.abs(value));
  for (let i = 0; i < 24; i++) {
    const [m, c] = [(i * 7919) % M, (i * 104729) % width];
    let sum = 0;
    for (let k = 0; k < (backward ? N : K); k++) {
      sum += x[m * (backward ? N : K) + k] * (backward ? values[k * K + c] : values[c * K + k]);
    }
    const error = Math.abs(out[m * width + c] - sum) / scale;
    // Products in bf16 round numbers that a scale has made longer.
    if (!(error < (compute === "bf16" ? 1e-2 : 2e-6)))
      throw new Error(`Cannot time a wrong product: error ${error} at ${m}, ${c} of ${M} × ${N} × ${K}`);
  }
}

const cases = [];
const weights = shapes.flatMap(([K, N]) => {
  const values = numbers(N * K, 7);
  return dtypes.map((dtype) => ({ K, N, dtype, ...weightOf(dtype, values, N, K) }));
});
const engines = threadCounts.flatMap((threads) =>
  computes.flatMap((compute) => packings.map((packing) => ({ threads, compute, packing }))),
);
for (const { threads, compute, packing } of engines) {
  const engine = createEngine({ threads, compute, packing: packing === "on" });
  for (const { K, N, dtype, tensor, numbers: values } of weights) {
    const weight = engine.matrix(tensor);
    for (const M of rowCounts) {
      for (const backward of [false, true]) {
        const x = numbers(M * (backward ? N : K), 3);
        const X = await engine.arena(async () => {
          const array = engine.upload(x);
          engine.keep(array);
          return array;
        });
        const call = () => (backward ? engine.linearBackward(X, weight, { T: M }) : engine.linear(X, weight, { T: M }));
        await engine.arena(async () => check(engine, { backward, compute }, values, x, call(), { M, N, K }));
        const flops = 2 * M * N * K;
        cases.push({ threads, compute, packing, dtype, M, K, N, backward, engine, call, flops, rates: [], peaks: [] });
      }
    }
  }
}

for (let round = 0; round < rounds; round++) {
  for (const threads of threadCounts) {
    for (const item of cases.filter((each) => each.threads === threads)) {
      const [f32, bf16] = peak(threads);
      await item.engine.arena(async () => {
        const repeats = Math.max(1, Math.round(2e10 / item.flops));
        // The peak's process took the cores: until the system has spread our threads over them again.
        for (const end = performance.now() + 50; performance.now() < end; ) item.engine.free(item.call());
        const now = threads === 1 ? () => process.cpuUsage().user / 1000 : () => performance.now();
        const begin = now();
        for (let i = 0; i < repeats; i++) item.engine.free(item.call());
        item.rates.push((item.flops * repeats) / (now() - begin) / 1e6);
        item.peaks.push(item.compute === "f32" ? f32 : bf16);
      });
    }
  }
}

const results = cases.map(({ threads, compute, packing, dtype, M, K, N, backward, rates, peaks }) => {
  const gflops = Math.round(median(rates));
  const ofPeak = median(rates) / median(peaks);
  return {
    threads,
    compute,
    packing,
    dtype,
    direction: backward ? "dX" : "forward",
    M,
    K,
    N,
    gflops,
    ofPeak: Number(ofPeak.toFixed(3)),
  };
});
console.log("threads compute packing weight direction      M      K      N   GFLOP/s  of peak");
for (const { threads, compute, packing, dtype, direction, M, K, N, gflops, ofPeak } of results) {
  const cells = [
    String(threads).padStart(7),
    compute.padEnd(7),
    packing.padEnd(7),
    dtype.padEnd(6),
    direction.padEnd(9),
    ...[M, K, N].map((n) => String(n).padStart(6)),
  ];
  console.log(cells.join(" "), String(gflops).padStart(9), `${(100 * ofPeak).toFixed(0)} %`.padStart(8));
}
const worst = (M, test) => Math.min(...results.filter((r) => test(r.M, M)).map((r) => r.ofPeak));
const machine = `${cpus()[0]?.model}, ${cpus().length} CPUs, level ${probe().level}, Node ${process.version}`;
console.log(
  `${machine}; worst at M = 128: ${worst(128, (a, b) => a === b)}, at M ≥ 512: ${worst(512, (a, b) => a >= b)}`,
);
console.log(JSON.stringify({ bench: "cpu_gemm", machine, rounds, results }));
rmSync(folder, { recursive: true });
