/**
 * Plants one bug at a time in a copy of the kernels and runs the tests on it: every bug must be caught. Run it after a change of
 * kernels or of their tests; a few seconds a bug.
 *
 *   node packages/engine-cuda/scripts/mutate.mjs [--only flash] [--verbose]
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** File, what stands there, the number of its occurrence (from 0), what is put there, and which tests should see it. */
const bugs = [
  // Barriers and copies
  ["flash.cu", "    __syncthreads();  // the keys are there, and all have read the values before\n", 0, "", "flash"],
  ["flash.cu", "    __syncthreads();  // the values are there, and all have read the keys\n", 0, "", "flash"],
  [
    "flash.cu",
    "    copy_wait<0>();\n    __syncthreads();  // the keys",
    0,
    "    __syncthreads();  // the keys",
    "flash",
  ],
  [
    "flash.cu",
    "    copy_wait<0>();\n    __syncthreads();  // the values",
    0,
    "    __syncthreads();  // the values",
    "flash",
  ],
  ["flash.cu", "    __syncthreads();  // all have read the values\n", 0, "", "flash"],
  ["flash.cu", "    __syncthreads();  // the prompts are there\n", 0, "", "flash"],
  ["flash_backward.cu", "  __syncthreads();  // all have read dS and gate A\n", 0, "", "flash"],
  ["flash_backward.cu", "    __syncthreads();  // the stage just read is fetched into next\n", 0, "", "flash"],
  ["flash_backward.cu", "    __syncthreads();  // the queries just read are fetched into next\n", 0, "", "flash"],
  ["flash_backward.cu", "    copy_wait<1>();", 0, "    copy_wait<2>();", "flash"],
  ["flash_backward.cu", "    copy_wait<1>();", 1, "    copy_wait<2>();", "flash"],
  ["flash_backward.cu", "  copy_wait<0>();\n  __syncthreads();\n", 0, "  copy_wait<0>();\n", "flash"],
  ["flash_backward.cu", "stage ^= 1) {", 0, ") {", "flash"],
  ["flash_backward.cu", "(n + 1) / each", 0, "n / each", "flash"],
  [
    "flash_backward.cu",
    "    __syncthreads();  // all have read the prompts: dS and gate A take their places\n",
    0,
    "",
    "flash",
  ],
  ["flash_backward.cu", "    __syncthreads();  // all of dS and gate A are there\n", 0, "", "flash"],
  ["prompt.cu", "  __syncwarp();\n}", 0, "}", "prompt"],
  ["common.cuh", "  __syncthreads();\n  float total", 0, "  float total", "orm"],
  // Masks and edges
  ["flash.cuh", "row < T ? row - first_column : -1", 0, "row < T ? row - first_column - 1 : -1", "flash"],
  ["flash.cuh", "last - window + 1", 0, "last - window"],
  ["flash.cuh", "end - 1 - first_row", 0, "end - first_row", "flash"],
  ["flash_backward.cu", "n0 + ROWS - 1 + window", 1, "n0 - 1 + window", "flash"],
  ["flash.cu", "(m0 + 1 - window) / ROWS : 0", 0, "(m0 + ROWS - window) / ROWS : 0", "flash"],
  ["attention.cu", "past > window ? past - window : 0", 0, "past > window ? past - window - 1 : 0", "attention"],
  ["attention.cu", "if (window > 0 && t + window < end) end = t + window;", 0, "", "attention"],
  ["attention.cu", "int past = starts_S[s] + seen", 0, "int past = seen", "cached"],
  ["flash.cuh", "t >= set.from && t < set.to", 0, "t > set.from && t < set.to", "flash"],
  ["flash.cuh", "t >= set.from && t < set.to", 0, "t >= set.from && t <= set.to", "flash"],
  ["flash_backward.cu", "if (!has(set, ", 0, "if (false && !has(set, ", "flash"],
  ["flash_backward.cu", "(size_t)tile.n * H + h]", 0, "(size_t)blockIdx.x * H + h]", "flash"],
  ["src/ops/tiles.ts", "own.length > 1", 0, "own.length > 2", "flash"],
  ["src/ops/tiles.ts", "from < behind && to > first", 0, "from <= begin && to > first", "flash"],
  ["flash.cuh", "(l & 3) * 2 + e < K ?", 0, "(l & 3) * 2 + e <= K ?", "flash"],
  ["flash_backward.cu", "piece < (K + 15) / 16 * STEPS", 0, "piece < K / 16 * STEPS", "flash"],
  ["src/ops/tiles.ts", "row < end - begin", 0, "row + TILE_ROWS <= end - begin", "flash"],
  ["src/ops/tiles.ts", "table.push(begin, end - begin, row", 0, "table.push(begin, end, row", "flash"],
  ["src/ops/prompt.ts", "BigInt(from * width * bytes)", 0, "0n", "prompt"],
  ["prompt.cu", "from + span < T ? from + span : T", 0, "from + span - 1 < T ? from + span - 1 : T", "prompt"],
  // Groups and layouts
  ["flash.cu", "g = h / (H / G)", 0, "g = h % G", "flash"],
  ["flash_backward.cu", "g = h / heads", 0, "g = h % G", "flash"],
  ["flash.cuh", "kv_KY + head * HD", 0, "kv_KY", "flash"],
  ["flash.cu", "set.kv_KY, G + g, G", 0, "set.kv_KY, G, G", "flash"],
  ["flash_backward.cu", "tile.n * heads + h % heads", 0, "tile.n * heads", "flash"],
  ["attention.cu", "h / (H / G) * d", 0, "h % G * d", "attention"],
  ["flash_backward.cu", "(H + G + g) * HD, X, ROWS", 0, "(H + g) * HD, X, ROWS", "flash"],
  ["flash.cuh", "((l >> 4) << 3)) * PITCH", 0, "((l >> 3) << 3)) * PITCH", "flash"],
  ["flash.cuh", "((l >> 4) << 3)) * PITCH", 1, "((l >> 3) << 3)) * PITCH", "flash"],
  ["rope.cu", "b[n] * cosine[n] + a[n]", 0, "b[n] * cosine[n] - a[n]", "rope"],
  ["rope.cu", "cos_sin + half + c", 0, "cos_sin + c", "rope"],
  ["rows.cu", "scale * load(row + d)", 0, "load(row + d)", "embed"],
  // Arithmetic
  ["flash.cu", "acc[j][half * 2] *= shrink;", 0, "", "flash"],
  ["flash_backward.cu", "p * (dp[j][e] - delta[stage][r]) * scale", 0, "p * dp[j][e] * scale", "flash"],
  ["flash_backward.cu", "p * (dp[m][j][e] - delta[m][half]) * scale", 0, "p * (dp[m][j][e] - delta[m][half])", "flash"],
  ["flash.cu", "gate = K > 0 ? set.gate_H[h] : 0.f", 0, "gate = K > 0 ? set.gate_H[0] : 0.f", "flash"],
  ["flash.cu", "low += gate * more[side]", 0, "low += more[side]", "flash"],
  ["flash.cuh", "s[j][half * 2 + e] *= inverse", 0, "s[j][half * 2 + e] *= 1.f", "flash"],
  ["flash_backward.cu", "delta[m][half] = -gate * rho;", 0, "delta[m][half] = 0.f;", "flash"],
  ["flash_backward.cu", "delta[m][half] += quad_sum(dot)", 0, "delta[m][half] = quad_sum(dot)", "flash"],
  ["flash_backward.cu", "s[0][j][e] *= gate;", 0, "", "flash"],
  ["flash_backward.cu", "(dp[0][j][e] - rho) * scale", 0, "dp[0][j][e] * scale", "flash"],
  ["flash_backward.cu", "add_product<1, ROWS>(acc + m, dp, k_tile, K, l);", 0, "", "flash"],
  ["flash_backward.cu", "(l & 3) == 0 ? rho_sum", 0, "true ? rho_sum", "flash"],
  ["flash_backward.cu", " + rhos[1]", 0, "", "flash"],
  ["src/ops/flash.ts", "(own * H) / G, lengths[s] ?? 0), dgate_H", 0, "own, lengths[s] ?? 0), dgate_H", "flash"],
  ["attention.cu", "sum = sum * shrink", 0, "sum = sum", "attention"],
  ["prompt.cu", "weight[l] * (ds[l] - rho) * scale", 0, "weight[l] * ds[l] * scale", "prompt"],
  ["prompt.cu", "  if (gate == 0.f) return;\n", 0, "", "prompt"],
  ["norm.cu", "rstd * rstd;", 0, "rstd;", "rmsNorm"],
  ["norm.cu", "g[i] * w[i] - sum - (v[i] - mean)", 0, "g[i] * w[i] - (v[i] - mean)", "layernorm"],
  ["norm.cu", "v[i] += g[i]", 0, "v[i] = g[i]", "rmsNorm"],
  ["norm.cu", "residual_TD + at", 0, "residual_TD", "rmsNorm"],
  [
    "norm.cu",
    "threadIdx.x * N; d < D; d += blockDim.x * N",
    0,
    "threadIdx.x * N; d < D; d += blockDim.x",
    "norms of rows",
  ],
  ["mlp.cu", "(1.f + gate * (1.f - s))", 0, "(1.f - gate * (1.f - s))", "swiglu"],
  ["mlp.cu", "3.f * 0.044715f", 0, "0.044715f", "gelu"],
  ["head.cu", "v == label ? p - 1.f : p", 0, "p", "headLoss"],
  ["head.cu", "z[v] == own && v < label", 0, "z[v] == own && v > label", "golden|headLoss|lowest"],
  // Several numbers at once
  ["common.cuh", "v[i + 2] = low_half(q.y)", 0, "v[i + 2] = low_half(q.x)", "swiglu|golden"],
  ["common.cuh", "v[i + 3] = from_bits(q.w)", 0, "v[i + 3] = from_bits(q.z)", "orm|golden"],
  ["common.cuh", "pack2(v[i + 4], v[i + 5])", 0, "pack2(v[i + 5], v[i + 4])", "swiglu|golden"],
  ["common.cuh", "to_bits(v[i + 3])}", 0, "to_bits(v[i + 2])}", "orm|golden"],
  ["mlp.cu", "dgate_up + at + F, up", 0, "dgate_up + at + F, gate", "swiglu"],
  ["norm.cu", "if (D % WIDE == 0) rms_norm_row", 0, "if (true) rms_norm_row", "rmsNorm"],
  // Weights of 8 bits
  ["rows.cu", "scale * load(q_NK", 0, "load(q_NK", "8 bits"],
  ["rows.cu", "scale_N[n]", 0, "scale_N[0]", "8 bits"],
  ["common.cuh", "(float)(signed char)p->bits", 0, "(float)p->bits", "8 bits"],
  ["common.cuh", "p->bits & 0x80 ? -magnitude", 0, "p->bits & 0x40 ? -magnitude", "8 bits"],
  ["common.cuh", "(p->bits & 0x7f) << 20", 0, "(p->bits & 0x78) << 20", "8 bits"],
  ["src/weights.ts", "4 * rows + from * columns", 0, "4 * rows", "8 bits"],
  ["src/weights.ts", "at + BigInt(4 * from)", 0, "at", "8 bits"],
  // Graphs: bugs in TypeScript are planted where it lies and taken out again.
  ["src/graphs.ts", "graph?.data.set(step.bytes, offset)", 0, "undefined", "graphs"],
  ["src/graphs.ts", "if (!isKnown) {", 0, "if (isKnown) {", "graphs"],
  [
    "src/graphs.ts",
    'gpu.call("wait for a graph", "cuEventSynchronize", graph.event);\n        placed',
    0,
    "placed",
    "graphs",
  ],
  ["src/graphs.ts", "at += aligned(data.length);", 0, "", "graphs"],
  [
    "src/kernels.ts",
    "[kernel.handle, x, y, z, block, shared, ...args]",
    0,
    "[kernel.handle, x, y, z, block, shared]",
    "graphs",
  ],
  ["src/gemm.ts", "[key, y, x, weight, residual]", 0, "[key, y, x, residual]", "graphs"],
];

// "prompt" also finds the tests of ops/long.test.ts, "attention" those of flash attention.
const { values } = parseArgs({ options: { only: { type: "string", default: "" }, verbose: { type: "boolean" } } });
const own = fileURLToPath(new URL("../", import.meta.url));
let missed = 0;
for (const [file, from, occurrence, to, tests] of bugs.filter(([name]) => name.includes(values.only))) {
  let original;
  const folder = mkdtempSync(join(tmpdir(), "zerogate-mutant-"));
  try {
    cpSync(join(own, "kernels"), folder, { recursive: true });
    const path = file.startsWith("src/") ? join(own, file) : join(folder, file);
    original = { path, text: readFileSync(path, "utf8") };
    const pieces = original.text.split(from);
    if (pieces.length < occurrence + 2) throw new Error(`Cannot plant a bug: ${file} has no ${JSON.stringify(from)}`);
    const text = pieces.slice(0, occurrence + 1).join(from) + to + pieces.slice(occurrence + 1).join(from);
    writeFileSync(path, text);
    const run = spawnSync(
      "npx",
      [
        "--no-install",
        "vitest",
        "run",
        "--bail",
        "1",
        "packages/engine-cuda/src/engine.test.ts",
        "packages/engine-cuda/src/graphs.test.ts",
        "packages/engine-cuda/src/ops",
        "-t",
        tests,
      ],
      {
        cwd: join(own, "../.."),
        env: { ...process.env, ZEROGATE_CUDA_KERNELS: folder },
        encoding: "utf8",
        timeout: 300_000,
      },
    );
    const isCaught = run.status !== 0;
    if (!isCaught) missed++;
    console.log(
      `${isCaught ? "caught" : "MISSED"}  ${file}: ${JSON.stringify(from.trim())} -> ${JSON.stringify(to.trim())}`,
    );
    if (values.verbose) console.log(run.stdout.slice(-2000));
  } finally {
    if (original) writeFileSync(original.path, original.text);
    rmSync(folder, { recursive: true });
  }
}
console.log(missed === 0 ? "every planted bug was caught" : `${missed} bugs were missed`);
process.exitCode = missed === 0 ? 0 : 1;
