/** `zerogate convert IN OUT --to FORMAT`: an adapter as another program stores it, with what that costs. */
import { stat } from "node:fs/promises";
import {
  type AdapterLayout,
  type AdapterState,
  adaptedBase,
  adapterLayoutOn,
  adaptionPromptConfig,
  architectureOf,
  convertGates,
  type DType,
  type ForeignDialect,
  foreignModules,
  type GateActivation,
  type GateConversion,
  gateReductions,
  InputError,
  type LayerGates,
  type ModelConfig,
  moduleNames,
} from "@zerogate/core";
import { readAdapter, readAdapterFile, readModelConfig, saveAdapter, writeAdapterFile } from "@zerogate/core/node";
import { MAX_PROMPT_LENGTH } from "@zerogate/run-config";
import { adapterFolder, checkLinks, formatSmall, namedBase } from "@zerogate/trainer/command";
import { continued } from "../terminal/plain_text.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { fitOnData } from "./fit_on_data.ts";
import { choiceFlag, numberFlag } from "./flags.ts";
import { checkNewFolder } from "./new_folder.ts";
import { table } from "./table.ts";

export interface ConvertFlags {
  readonly to: string;
  readonly assumeGate?: string;
  readonly gateReduce?: string;
  readonly data?: readonly string[];
  readonly clampGates?: boolean;
  readonly adapterLen?: string;
  readonly model?: string;
  readonly heads?: string;
  readonly dtype?: string;
  readonly links?: boolean;
  readonly json?: boolean;
}

/** `peft` and `zerogate` are folders: PEFT's own gate, and whatever gate the adapter has. */
const targets = ["peft", "zerogate", "original", "litgpt", "lit-llama"] as const;
type Target = (typeof targets)[number];

const dtypes = ["f32", "bf16", "f16"] as const satisfies readonly DType[];

/** What became of a layer's gates and, where it was measured, ‖after − before‖ / ‖before‖ of what the layer adds. */
interface ToldLayer extends Omit<LayerGates, "before" | "after"> {
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly outputError?: number | undefined;
}

/** An adapter from a folder or a file, and what is known of it beside its numbers. */
interface Source {
  readonly from: Target;
  readonly state: AdapterState;
  readonly dtype: DType;
  readonly folder?: Pick<Awaited<ReturnType<typeof readAdapter>>, "config" | "metadata" | "promptFormat">;
  readonly notes: readonly string[];
}

export async function convertCommand(
  input: string,
  out: string,
  flags: ConvertFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const problems: string[] = [];
  const to = choiceFlag("--to", flags.to, targets, problems) ?? "peft";
  const assumed = choiceFlag("--assume-gate", flags.assumeGate, ["tanh", "raw"], problems);
  const reduce = choiceFlag("--gate-reduce", flags.gateReduce, [...gateReductions, "lstsq"] as const, problems);
  const isFitted = reduce === "lstsq";
  if (isFitted && !flags.data) {
    problems.push("--gate-reduce lstsq measures what the layers add to a base on texts: give --data");
  }
  if (!isFitted && flags.data) problems.push("--data is for --gate-reduce lstsq");
  const dtype = choiceFlag("--dtype", flags.dtype, dtypes, problems);
  const promptLength = numberFlag(
    "--adapter-len",
    flags.adapterLen,
    0,
    { min: 1, max: MAX_PROMPT_LENGTH, whole: true },
    problems,
  );
  const heads = numberFlag("--heads", flags.heads, 0, { min: 1, max: 65_536, whole: true }, problems);
  if (problems.length > 0) throw new InputError("Cannot convert", problems);

  const onNote = (note: string) => context.stderr.write(`${note}\n`);
  const folder = (await stat(input).catch(() => undefined))?.isDirectory()
    ? await adapterFolder(input, onNote, flags.links)
    : undefined;
  // Other programs' files and lstsq need to know the base; for others it does not matter whether it is still there.
  const needsBase = isFitted || !(to === "peft" || to === "zerogate");
  const model = flags.model ?? (needsBase && folder !== undefined ? await namedBase(folder, onNote) : undefined);
  if (isFitted && model === undefined) {
    throw new InputError(
      "Cannot convert",
      "--gate-reduce lstsq needs the base, which is not named or not here: give --model",
    );
  }
  await checkLinks(flags, [model]);
  const base = model === undefined ? undefined : await readModelConfig(model);
  const originalGate: GateActivation = assumed === "raw" ? "none" : "tanh";
  const source = await readSource(input, folder, { originalGate, ...(promptLength > 0 && { promptLength }) });
  if (assumed !== undefined && source.from !== "original" && to !== "original") {
    throw new InputError("Cannot convert", "--assume-gate is about files of the original code, neither side is one");
  }
  const known = withHeads(source.state, base, heads, to);
  const wanted = targetGate(to, known.layout, originalGate);
  const fitted =
    isFitted && model !== undefined && flags.data
      ? await fitOnData(model, known, flags.data, source.folder?.promptFormat, context)
      : undefined;
  const reduction = isFitted ? fitted?.map(({ gate }) => gate) : reduce;
  const { state, layers } = withFlagNames(() =>
    convertGates(known, { ...wanted, ...(reduction && { reduce: reduction }), clamp: flags.clampGates ?? false }),
  );
  await write(out, to, state, { ...source, dtype: dtype ?? source.dtype }, flags.model);

  const notes = [...source.notes, ...targetNotes(to, source, originalGate)];
  for (const note of notes) context.stderr.write(`${continued(note)}\n`);
  const { layout } = state;
  const facts = {
    from: source.from,
    to,
    out,
    baseLayers: layout.base.layers,
    adapterLayers: layout.shape.adaptedLayers,
    adapterLen: layout.shape.promptLength,
    gates: { before: gateName(known.layout), after: gateName(layout) },
    maxRelativeError: Math.max(...layers.map(({ relativeError }) => relativeError)),
  };
  const told: ToldLayer[] = layers.map((row, i) => {
    const outputError = row.relativeError === 0 ? 0 : fitted?.[i]?.outputError;
    return { ...row, before: [...row.before], after: [...row.after], ...(fitted && { outputError }) };
  });
  if (flags.json) printJson(context, { ...facts, layers: told, notes });
  else context.stdout.write(describe(facts, told));
  return 0;
}

/** @param folder That of the adapter, undefined where `input` is a file. */
async function readSource(
  input: string,
  folder: string | undefined,
  options: Parameters<typeof readAdapterFile>[1],
): Promise<Source> {
  if (folder === undefined) {
    const { dialect, state, notes } = await readAdapterFile(input, options);
    const gates =
      dialect === "original" ? [`gates of ${input} are taken as ${options?.originalGate}: --assume-gate`] : [];
    return { from: dialect, state, dtype: "f32", notes: [...notes, ...gates] };
  }
  const { config, metadata, promptFormat, layout, params, dtype, warnings } = await readAdapter(folder);
  const { gateSharing, gateActivation } = layout.shape;
  const isPlain = gateSharing === "scalar" && gateActivation === "none";
  const from = isPlain ? "peft" : "zerogate";
  return { from, state: { layout, params }, dtype, folder: { config, metadata, promptFormat }, notes: warnings };
}

/** The adapter with the number of heads that its base has; it must fit the base where that is given. */
function withHeads(state: AdapterState, base: ModelConfig | undefined, given: number, to: Target): AdapterState {
  const { layout, params } = state;
  const problems: string[] = [];
  const compare = (what: string, adapter: number, model: number) => {
    if (adapter !== model) problems.push(`the adapter is for a base with ${what} ${adapter}, this one has ${model}`);
  };
  const heads = base?.heads ?? given;
  const isForeign = to !== "peft" && to !== "zerogate";
  const names = moduleNames(layout.base);
  if (base) {
    if (names !== moduleNames(adaptedBase(base))) {
      problems.push(`the adapter is for a base with ${names}, this one is a ${base.modelType}`);
    }
    compare("layers", layout.base.layers, base.layers);
    compare("hidden size", layout.base.hiddenSize, base.hiddenSize);
  }
  if (isForeign && base && architectureOf(base).promptsJoin === "after-output") {
    problems.push(
      `what the prompts of a ${base.modelType} give is added after the output projection, a reader of ${to} adds it before: use --to peft or zerogate`,
    );
  } else if (isForeign && !base && names !== moduleNames({ modules: foreignModules })) {
    problems.push(
      `the adapter is for a base with ${names}, a reader of ${to} knows ${moduleNames({ modules: foreignModules })} only: use --to peft or zerogate, or give --model`,
    );
  }
  if (layout.shape.gateSharing === "per-head") {
    if (heads > 0) compare("query heads", layout.base.heads, heads);
  } else if (heads === 0 && isForeign) {
    problems.push(`${to} has one gate per query head and the adapter does not tell how many: give --model or --heads`);
  }
  if (problems.length > 0) throw new InputError("Cannot convert", problems);
  if (layout.shape.gateSharing === "per-head" || heads === 0) return state;
  return { layout: adapterLayoutOn(layout.shape, { ...layout.base, heads }), params };
}

function targetGate(to: Target, layout: AdapterLayout, originalGate: GateActivation): GateConversion {
  const { gateSharing, gateActivation } = layout.shape;
  if (to === "zerogate") return { gateSharing, gateActivation };
  if (to === "peft") return { gateSharing: "scalar", gateActivation: "none" };
  return { gateSharing: "per-head", gateActivation: to === "original" ? originalGate : "none" };
}

/** Core speaks of reductions and clamping, a user of flags. */
function withFlagNames<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const flagged = error.problems.map((problem) =>
      problem
        .replace(
          "allow it with a reduction (mean, median, rms)",
          "allow the loss with --gate-reduce mean, median, rms or lstsq, or keep it with --to zerogate",
        )
        .replace(
          "allow it with clamping",
          "allow the loss with --clamp-gates, or write raw gates with --assume-gate raw",
        ),
    );
    throw new InputError("Cannot convert without loss", flagged, { cause: error });
  }
}

async function write(
  out: string,
  to: Target,
  { layout, params }: AdapterState,
  { folder, dtype }: Pick<Source, "folder" | "dtype">,
  model: string | undefined,
): Promise<void> {
  if (to !== "peft" && to !== "zerogate") {
    await writeAdapterFile(out, { layout, params }, to satisfies ForeignDialect, dtype);
    return;
  }
  await checkNewFolder(out);
  const { adaptedLayers: adapterLayers, promptLength: adapterLen } = layout.shape;
  const fresh = () =>
    adaptionPromptConfig({
      adapterLen,
      adapterLayers,
      targetModules: layout.base.modules.attention,
      taskType: "CAUSAL_LM",
    });
  const config = { ...(folder?.config ?? fresh()), ...(model !== undefined && { baseModelNameOrPath: model }) };
  const { metadata = {}, promptFormat } = folder ?? {};
  await saveAdapter(out, { config, layout, params, dtype, metadata, promptFormat });
}

function targetNotes(to: Target, { from, folder }: Source, originalGate: GateActivation): string[] {
  if (to === "peft" || to === "zerogate") return [];
  const { template } = folder?.promptFormat ?? {};
  const lost = template ? [`a file of ${to} has no place for the prompt template "${template.name}"`] : [];
  return [...lost, ...gateNotes(to, from, originalGate)];
}

function gateNotes(to: Target, from: Target, originalGate: GateActivation): string[] {
  if (to === "litgpt") {
    return [
      "litgpt 0.5.5 to 0.5.13 reads prompt keys and values of wrong heads (after its pull request 1013): older ones are right",
    ];
  }
  if (to !== "original" || from === "original") return [];
  return [
    `gates are written for a reader that ${originalGate === "tanh" ? "takes their tanh" : "takes them raw"}: --assume-gate`,
  ];
}

function gateName({ shape }: AdapterLayout): string {
  const { gateSharing, gateActivation } = shape;
  return `${gateSharing}${gateActivation === "tanh" ? " tanh" : ""}`;
}

function describe(
  facts: {
    from: string;
    to: string;
    out: string;
    adapterLayers: number;
    adapterLen: number;
    gates: { before: string; after: string };
  },
  layers: readonly ToldLayer[],
): string {
  const { from, to, out, adapterLayers, adapterLen, gates } = facts;
  const range = (values: readonly number[]) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return low === high ? formatSmall(low) : `${formatSmall(low)} … ${formatSmall(high)}`;
  };
  const error = (value: number) => (value === 0 ? "exact" : formatSmall(value));
  const rows = layers.map(({ layer, before, after, relativeError, outputError }) => [
    String(layer),
    range(before),
    range(after),
    error(relativeError),
    ...(outputError === undefined ? [] : [error(outputError)]),
  ]);
  const measured = layers.some(({ outputError }) => outputError !== undefined) ? ["of the output"] : [];
  const head = `${from} -> ${to}: ${adapterLayers} layers of ${adapterLen} prompts, gates ${gates.before} -> ${gates.after}\n`;
  return `${head}${table([["layer", "gates before", "after", "relative error", ...measured], ...rows])}${out}\n`;
}
