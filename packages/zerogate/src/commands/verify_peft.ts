/**
 * `zerogate verify --against peft`: the same base, adapter and texts here and in the real PEFT (python/verify_peft.py, in the
 * user's own Python), and how far logits, loss and gradients are apart.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Adapter, type Cell, cellGradient, InputError, packCell, partNumbers, tokenLogits } from "@zerogate/core";
import { parseSafetensors, readAdapterTensors } from "@zerogate/core/formats";
import { type OpenedModel, openModel } from "@zerogate/trainer";
import { formatCount, formatLoss, formatSmall, locateModel, promptOf } from "@zerogate/trainer/command";
import { openStatus } from "../status/display.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { engineFlags, numberFlag } from "./flags.ts";

export interface VerifyPeftFlags {
  readonly model?: string;
  readonly adapter?: string;
  readonly links?: boolean;
  readonly text?: readonly string[];
  readonly python?: string;
  readonly tolerance?: string;
  readonly engine?: string;
  readonly compute?: string;
  readonly json?: boolean;
}

/** Plain English, a list and numbers: tokens of every kind for any tokenizer. */
const defaultTexts = [
  "The quick brown fox jumps over the lazy dog, and the dog does not mind.",
  "Once upon a time there was a small robot who counted: 1, 2, 3, 5, 8, 13.",
  "### Instruction:\nName three colours.\n\n### Response:\nRed, green and blue.",
];

interface Sequence {
  readonly ids: readonly number[];
  /** Everything behind the first token is to be predicted. */
  readonly firstTarget: 1;
}

/** What the Python script says. */
interface PeftReport {
  readonly loss: number;
  readonly versions: Readonly<Record<string, string>>;
  /** Tensors of the file that PEFT lacks or did not take, by name. */
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly different: readonly string[];
}

/** `largest` is the largest magnitude on PEFT's side; `relative` is what the tolerance is for. */
interface Difference {
  readonly difference: number;
  readonly largest: number;
  readonly relative: number;
}

export async function verifyAgainstPeft(flags: VerifyPeftFlags, context: CommandContext): Promise<ExitCode> {
  const { adapter: given, json = false } = flags;
  const python = flags.python ?? context.env["ZEROGATE_PYTHON"] ?? "python3";
  const problems: string[] = [];
  const tolerance = numberFlag("--tolerance", flags.tolerance, 1e-4, { min: 0, max: 1_000_000 }, problems);
  if (given === undefined) problems.push("--adapter is missing, it names the adapter folder");
  if (given === undefined || problems.length > 0) throw new InputError("Cannot verify", problems);

  const status = openStatus(context.stderr, context.env);
  const work = await mkdtemp(join(tmpdir(), "zerogate-verify-"));
  try {
    const wanted = { model: flags.model, adapters: [`${given}=adapter`], links: flags.links, onlyFolders: true };
    const located = await locateModel(wanted, status.log);
    const folder = located.adapters[0]?.folder ?? given;
    // In bf16 two right programs differ by more than the tolerance: each rounds elsewhere.
    const request = {
      ...engineFlags({ compute: "f32", ...flags }),
      model: located.folder,
      adapters: located.adapters,
      links: flags.links,
    };
    const opened = await openModel(
      { ...request, outputBias: "twice" },
      { onWarning: status.log, onPhase: status.phase, onNote: status.log },
    );
    const adapter = opened.model.adapter("adapter");
    refuseOtherGates(adapter, folder);
    if (adapter.layout.shape.outputBiasTimes === "once") {
      status.log("this adapter adds the bias of the output projection once, PEFT does it twice: the numbers differ");
    }
    const sequences = await encodeTexts(opened, flags.text ?? defaultTexts);
    const cell = cellOf(sequences);
    status.phase({ name: `computing with ${opened.model.base.engine.name}` });
    const own = await computeHere(opened, adapter, cell);
    status.phase({ name: `computing with PEFT (${python})` });
    const job = { base: resolve(located.folder), adapter: resolve(folder), sequences, padding: "right" };
    const theirs = await computeInPython(python, work, job, context.signal);
    status.stop();

    const { params: gradient } = readAdapterTensors(theirs.gradients, adapter.layout, "PEFT's gradients");
    const numbersOf = (all: Float32Array, what: string) =>
      adapter.layout.table.flatMap((part) => (part.part === what ? [...partNumbers(part, all)] : []));
    const result = {
      logits: compare(own.logits, theirs.logits),
      loss: { here: own.loss, there: theirs.report.loss, ...compare([own.loss], [theirs.report.loss]) },
      prompts: compare(numbersOf(own.gradient, "prompt"), numbersOf(gradient, "prompt")),
      gates: compare(numbersOf(own.gradient, "gate"), numbersOf(gradient, "gate")),
    };
    const { missing, unexpected, different, versions } = theirs.report;
    const keys = [...missing, ...unexpected, ...different];
    const agrees = keys.length === 0 && Object.values(result).every(({ relative }) => relative <= tolerance);
    const facts = { texts: sequences.length, tokens: cell.ids_T.length, keys, ...result };
    if (json) printJson(context, { agrees, tolerance, python, versions, ...facts });
    else context.stdout.write(describe(versions, python, facts, agrees, tolerance));
    return agrees ? 0 : 3;
  } finally {
    status.stop();
    await rm(work, { recursive: true, force: true });
  }
}

function refuseOtherGates({ layout }: Adapter, folder: string): void {
  const { gateSharing, gateActivation } = layout.shape;
  if (gateSharing === "scalar" && gateActivation === "none") return;
  const found = `its gates are ${gateSharing}${gateActivation === "tanh" ? " under tanh" : ""}`;
  throw new InputError(`Cannot verify ${folder} against PEFT`, `${found}, PEFT has one plain gate a layer only`);
}

async function encodeTexts(opened: OpenedModel, texts: readonly string[]): Promise<Sequence[]> {
  const { contextLength } = opened.model.base.config;
  const sequences: Sequence[] = [];
  for (const text of texts) {
    const { ids } = await promptOf(opened, { instruction: text, isVerbatim: true }, "adapter");
    sequences.push({ ids: ids.slice(0, contextLength), firstTarget: 1 });
  }
  const short = sequences.findIndex(({ ids }) => ids.length < 2);
  if (short === -1) return sequences;
  throw new InputError("Cannot verify", `text ${JSON.stringify(texts[short])} is one token, two or more are needed`);
}

function cellOf(sequences: readonly Sequence[]): Cell {
  const offsets = Float64Array.from([0, ...sequences.map((_, s) => lengthOf(sequences.slice(0, s + 1)))]);
  const target = Uint8Array.from(sequences.flatMap(({ ids }) => ids.map((_, i) => (i > 0 ? 1 : 0))));
  const ids = Int32Array.from(sequences.flatMap((sequence) => sequence.ids));
  return packCell({ ids, target, offsets, hash: "" }, [...sequences.keys()]);
}

const lengthOf = (sequences: readonly Sequence[]) => sequences.reduce((sum, { ids }) => sum + ids.length, 0);

async function computeHere({ model }: OpenedModel, adapter: Adapter, cell: Cell) {
  const labelled = cell.rows_R.length;
  const logits = await tokenLogits(model.base, adapter, cell);
  const { lossSum, gradient } = await cellGradient(model.base, adapter, cell, 1 / labelled);
  return { logits, gradient, loss: lossSum / labelled };
}

async function computeInPython(python: string, work: string, job: object, signal: AbortSignal) {
  const [jobFile, out] = [join(work, "job.json"), join(work, "peft.safetensors")];
  await writeFile(jobFile, JSON.stringify({ ...job, out }));
  const script = fileURLToPath(new URL("../../python/verify_peft.py", import.meta.url));
  // Nothing is downloaded: both folders are here.
  const env = { ...process.env, HF_HUB_OFFLINE: "1" };
  const { stdout } = await promisify(execFile)(python, [script, jobFile], { env, signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw pythonProblem(python, error);
  });
  const { tensors: gradients } = parseSafetensors(new Uint8Array(await readFile(out)), out);
  const logits = new Float32Array(gradients.get("logits")?.bytes.slice().buffer ?? new ArrayBuffer());
  gradients.delete("logits");
  return { report: JSON.parse(stdout) as PeftReport, logits, gradients };
}

/** A Python that is not there or lacks a package is the user's to mend; anything else is a failure in it. */
function pythonProblem(python: string, error: unknown): Error {
  const { code, stderr = "", message } = error as { code?: unknown; stderr?: string; message: string };
  const last = stderr.trim().split("\n").at(-1) ?? "";
  const way = "name a Python with peft, torch and transformers by --python or ZEROGATE_PYTHON";
  if (code === "ENOENT") return new InputError("Cannot verify against PEFT", `there is no ${python}: ${way}`);
  if (code === 3) return new InputError("Cannot verify against PEFT", `${python}: ${last}; ${way}`);
  return new Error(`Cannot verify against PEFT: ${python} failed: ${last || message}`, { cause: error });
}

/** NaN on either side, or another count of numbers, is a difference without end. */
function compare(own: ArrayLike<number>, theirs: ArrayLike<number>): Difference {
  let difference = own.length === theirs.length ? 0 : Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < Math.min(own.length, theirs.length); i++) {
    const [a = 0, b = 0] = [own[i], theirs[i]];
    const apart = Math.abs(a - b);
    difference = Math.max(difference, Number.isNaN(apart) ? Number.POSITIVE_INFINITY : apart);
    largest = Math.max(largest, Math.abs(b));
  }
  return { difference, largest, relative: difference === 0 ? 0 : difference / largest };
}

function describe(
  versions: Readonly<Record<string, string>>,
  python: string,
  facts: {
    readonly texts: number;
    readonly tokens: number;
    readonly keys: readonly string[];
    readonly loss: Difference & { readonly here: number; readonly there: number };
  } & Readonly<Record<"logits" | "prompts" | "gates", Difference>>,
  agrees: boolean,
  tolerance: number,
): string {
  const { loss, logits, prompts, gates, keys } = facts;
  const apart = ({ difference, largest }: Difference) => `${formatSmall(difference)} of ${formatSmall(largest)}`;
  const rows = [
    [
      "with",
      `${Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(", ")} (${python})`,
    ],
    ["on", `${facts.texts} texts, ${formatCount(facts.tokens)} tokens`],
    ["logits", `largest difference ${apart(logits)}`],
    [
      "loss",
      `${formatLoss(loss.here)} here, ${formatLoss(loss.there)} there, difference ${formatSmall(loss.difference)}`,
    ],
    ["prompts", `gradient, largest difference ${apart(prompts)}`],
    ["gates", `gradient, largest difference ${apart(gates)}`],
    ...keys.map((key) => ["tensor", `${key} did not reach PEFT as it is in the file`]),
    [
      "verdict",
      `zerogate and PEFT ${agrees ? "agree" : "DIFFER"} (tolerance ${formatSmall(tolerance)} of the largest)`,
    ],
  ];
  return `${rows.map(([name, value]) => `${name?.padEnd(9)}${value}`).join("\n")}\n`;
}
