/** `zerogate inspect PATH`: says what a folder or file is and what is in it. */
import { access, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  InputError,
  parameterCount,
  parseAdaptionPromptConfig,
  parseSafetensors,
  parseStrictJson,
} from "@zerogate/core";
import { notRegular, readModelConfig, readPromptFormat, readRegularFile, verifyDirectory } from "@zerogate/core/node";
import { readRecords } from "@zerogate/data";
import { listCheckpoints } from "../checkpoint/folders.ts";
import { decodeRunState } from "../checkpoint/run_state.ts";
import { readMetrics } from "../metrics/metrics_file.ts";
import { formatCount } from "../status/format.ts";
import { plainCell } from "../terminal/plain_text.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";

type Facts = { readonly kind: string } & Readonly<Record<string, unknown>>;

export async function inspectCommand(
  path: string,
  { json = false }: { json?: boolean },
  context: CommandContext,
): Promise<ExitCode> {
  const facts = await inspect(path);
  if (json) printJson(context, facts);
  else context.stdout.write(describe(facts));
  return 0;
}

/** @throws InputError where there is nothing at `path` or it is nothing that zerogate knows. */
export async function inspect(path: string): Promise<Facts> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new InputError(`Cannot inspect ${path}`, "there is no such file or folder");
  if (found.isFile()) return path.endsWith(".safetensors") ? inspectTensors(path) : inspectData(path);
  if (!found.isDirectory()) throw new InputError(`Cannot inspect ${path}`, notRegular(found) ?? []);
  const has = (name: string) =>
    access(join(path, name)).then(
      () => true,
      () => false,
    );
  if (await has("state.msgpack")) return inspectCheckpoint(path);
  if (await has("adapter_config.json")) return inspectAdapter(path);
  if ((await has("metrics.jsonl")) || (await has("checkpoints"))) return inspectRun(path);
  if (await has("config.json")) return inspectModel(path);
  const known = "a model, adapter, checkpoint or run folder, a .safetensors file, or an instruction file";
  throw new InputError(`Cannot inspect ${path}`, `it is a folder of no kind that zerogate knows: expected ${known}`);
}

async function inspectModel(path: string): Promise<Facts> {
  const warnings: string[] = [];
  const config = await readModelConfig(path, { onWarning: (warning) => warnings.push(warning) });
  return { kind: "model", path, parameters: parameterCount(config), ...config, warnings };
}

async function inspectAdapter(path: string): Promise<Facts> {
  const file = join(path, "adapter_config.json");
  const { config, warnings } = parseAdaptionPromptConfig(await readJson(file), file);
  const tensors = await inspectTensors(join(path, "adapter_model.safetensors"));
  const format = await readPromptFormat(path);
  return { ...tensors, kind: "adapter", path, ...config, template: format?.template.name, bos: format?.bos, warnings };
}

async function readJson(path: string): Promise<unknown> {
  const text = (await readRegularFile(path)).toString("utf8");
  try {
    return parseStrictJson(text);
  } catch (cause) {
    throw new InputError(`Cannot read ${path}`, `not valid JSON: ${(cause as Error).message}`, { cause });
  }
}

async function inspectCheckpoint(path: string): Promise<Facts> {
  const problems = await verifyDirectory(path);
  if (problems.length > 0) return { kind: "checkpoint", path, whole: false, problems };
  const file = join(path, "state.msgpack");
  const state = decodeRunState(await readRegularFile(file), file);
  const adapter = await inspectAdapter(path);
  const { adapterLen, adapterLayers, numbers } = adapter as Record<string, unknown>;
  return {
    kind: "checkpoint",
    path,
    whole: true,
    ...state,
    adapterLen,
    adapterLayers,
    numbers,
  };
}

async function inspectRun(path: string): Promise<Facts> {
  const { steps, evaluations, unreadable } = readMetrics(path);
  const last = steps.at(-1);
  const best = evaluations.reduce<(typeof evaluations)[number] | undefined>(
    (a, b) => (a && a.loss <= b.loss ? a : b),
    undefined,
  );
  return {
    kind: "run",
    path,
    steps: last?.step ?? 0,
    loss: last?.loss,
    bestValidation: best && { step: best.step, loss: best.loss },
    checkpoints: await listCheckpoints(path),
    unreadableMetrics: unreadable,
  };
}

async function inspectTensors(path: string): Promise<Facts> {
  const bytes = new Uint8Array(await readRegularFile(path));
  const { tensors, metadata } = parseSafetensors(bytes, path);
  const list = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const numbers = list.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return { kind: "tensors", path, numbers, metadata: Object.fromEntries(metadata), tensors: list };
}

async function inspectData(path: string): Promise<Facts> {
  const { records, skipped, problems } = await readRecords(path, { skipBad: true });
  const lengths = records.map(({ output }) => output.length);
  return {
    kind: "dataset",
    path,
    records: records.length,
    withInput: records.filter(({ input }) => input !== "").length,
    bad: skipped,
    problems: problems.slice(0, 20),
    meanOutputCharacters: lengths.reduce((a, b) => a + b, 0) / Math.max(1, lengths.length),
    first: records[0],
  };
}

function describe(facts: Facts): string {
  const lines = Object.entries(facts).flatMap(([key, value]) => {
    if (value === undefined || (Array.isArray(value) && value.length === 0)) return [];
    if (key === "tensors") {
      const tensors = value as { name: string; dtype: string; shape: number[] }[];
      return tensors.map(({ name, dtype, shape }) => `  ${plainCell(name)}  ${dtype} [${shape.join(", ")}]`);
    }
    const text =
      typeof value === "number" && Number.isInteger(value)
        ? formatCount(value)
        : typeof value === "string"
          ? plainCell(value)
          : JSON.stringify(value);
    return [`${key.padEnd(22)}${text}`];
  });
  return `${lines.join("\n")}\n`;
}
