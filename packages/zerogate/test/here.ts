/** The `zerogate` command in this process, on a tiny random base: runs of a second, whose workers alone are built files. */
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { serializeSafetensors, type Tensor } from "@zerogate/core/formats";
import { normal } from "@zerogate/core/training";
import { afterAll } from "vitest";
import { runCli } from "../src/cli.ts";
import { recorded } from "./recorded.ts";

const world = fileURLToPath(new URL("../../trainer/world/", import.meta.url));

type Line = Readonly<Record<string, unknown>>;

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Lines of stdout that are JSON objects. */
  readonly json: readonly Line[];
}

interface Call {
  readonly env?: Readonly<Record<string, string>>;
  /** Called with every object that is printed as one line of JSON; `stop` is a Ctrl-C. */
  readonly onLine?: (line: Line, stop: () => void) => void;
  readonly saveRequests?: { readonly count: number };
}

export interface Place {
  /** A tiny random Llama with the packaged base's tokenizer. */
  readonly base: string;
  readonly at: (name: string) => string;
  readonly run: (args: readonly string[], call?: Call) => Promise<Outcome>;
}

/** A temporary folder with a base, 24 records in `data.json` and 4 in `held.json`; removed after the tests of the file. */
export function openPlace(): Place {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-here-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  const at = (name: string) => join(folder, name);
  writeBase(at("base"));
  const records = (file: string, count: number) =>
    (JSON.parse(readFileSync(join(world, file), "utf8")) as unknown[]).slice(0, count);
  writeFileSync(at("data.json"), JSON.stringify(records("train.json", 24)));
  writeFileSync(at("held.json"), JSON.stringify(records("heldout.json", 4)));
  const run = async (args: readonly string[], { env = {}, onLine, saveRequests = { count: 0 } }: Call = {}) => {
    const [out, err]: [string[], string[]] = [[], []];
    const interrupt = new AbortController();
    const write = (text: string) => {
      out.push(text);
      if (onLine && text.startsWith("{")) onLine(JSON.parse(text) as Line, () => interrupt.abort());
    };
    const code = await runCli(args, {
      ...recorded(write, (text) => void err.push(text)),
      stdin: Readable.from([]),
      env: { XDG_CACHE_HOME: at("cache"), ...env },
      signal: interrupt.signal,
      saveRequests,
    });
    const stdout = out.join("");
    const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
    return { code, stdout, stderr: err.join(""), json: lines.map((line) => JSON.parse(line) as Line) };
  };
  return { base: at("base"), at, run };
}

/** Flags of a run of six steps with a checkpoint after every second and a validation after every third; `changes` replaces some. */
export function sixSteps({ base, at }: Place, out: string, changes: Readonly<Record<string, string>> = {}): string[] {
  const flags = {
    "--model": base,
    "--engine": "reference",
    "--data": at("data.json"),
    "--validation-data": at("held.json"),
    "--out": at(out),
    "--cache-dir": at("cache"),
    "--seed": "7",
    "--steps": "6",
    "--batch-size": "4",
    "--max-length": "128",
    "--cell-tokens": "128",
    "--report-answers": "0",
    "--workers": "1",
    "--save-every": "2",
    "--eval-every": "3",
    ...changes,
  };
  return ["train", ...Object.entries(flags).flat(), "--json"];
}

/** Vocabulary, hidden size, feed-forward size, layers, heads. */
const [V, D, F, N, H] = [1024, 16, 24, 3, 2];

function writeBase(folder: string): void {
  cpSync(join(world, "base"), folder, { recursive: true });
  const config = { model_type: "llama", vocab_size: V, hidden_size: D, intermediate_size: F, num_hidden_layers: N };
  const more = { num_attention_heads: H, max_position_embeddings: 192, rms_norm_eps: 1e-5, dtype: "float32" };
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, ...more, bos_token_id: 1, eos_token_id: 2 }));
  const shapes: Record<string, number[]> = {
    "model.embed_tokens.weight": [V, D],
    "model.norm.weight": [D],
    "lm_head.weight": [V, D],
  };
  for (let layer = 0; layer < N; layer++) {
    const add = (name: string, ...shape: number[]) => {
      shapes[`model.layers.${layer}.${name}.weight`] = shape;
    };
    for (const map of ["q_proj", "k_proj", "v_proj", "o_proj"]) add(`self_attn.${map}`, D, D);
    for (const norm of ["input_layernorm", "post_attention_layernorm"]) add(norm, D);
    for (const map of ["gate_proj", "up_proj"]) add(`mlp.${map}`, F, D);
    add("mlp.down_proj", D, F);
  }
  const tensors = Object.entries(shapes).map(([name, shape], stream): [string, Tensor] => {
    const values = Float32Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      (_, i) => 0.3 * normal(3, stream, i),
    );
    return [name, { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) }];
  });
  writeFileSync(join(folder, "model.safetensors"), serializeSafetensors(new Map(tensors)));
}

export const checkpointsIn = (run: string): string[] => readdirSync(join(run, "checkpoints")).toSorted();
export const textOf = (run: string, name: string): string => readFileSync(join(run, name), "utf8");
export const linesOf = (run: string, name: string): Line[] =>
  textOf(run, name)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

export function adapterHash(run: string): string {
  const bytes = readFileSync(join(run, "adapter", "adapter_model.safetensors"));
  return createHash("sha256").update(bytes).digest("hex");
}

export function copyOf({ at }: Place, from: string, to: string): string {
  cpSync(at(from), at(to), { recursive: true });
  return at(to);
}
