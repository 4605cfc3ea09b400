/** `zerogate convert IN OUT --to FORMAT`: an adapter as another program stores it, with what that costs. */
import { stat } from "node:fs/promises";
import {
  type AdapterLayout,
  type AdapterState,
  adaptionPromptConfig,
  convertGates,
  type GateActivation,
  type GateConversion,
  gateReductions,
  InputError,
} from "@zerogate/core";
import type { DType } from "@zerogate/core/engine";
import type { ForeignDialect, SeenFeatures } from "@zerogate/core/formats";
import { readModelConfig, saveAdapter, writeAdapterFile } from "@zerogate/core/node";
import { MAX_PROMPT_LENGTH } from "@zerogate/run-config";
import { adapterFolder, checkLinks, namedBase } from "@zerogate/trainer/command";
import { continued } from "../terminal/plain_text.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { describe, gateName, type ReportedLayer, targetNotes } from "./convert_result.ts";
import { readSource, type Source, type Target, targets, withHeads } from "./convert_source.ts";
import { seenByReleased } from "./convert_tower.ts";
import { fitOnData } from "./fit_on_data.ts";
import { choiceFlag, numberFlag } from "./flags.ts";
import { checkNewFolder } from "./new_folder.ts";

export interface ConvertFlags {
  readonly to: string;
  readonly assumeGate?: string;
  readonly gateReduce?: string;
  readonly data?: readonly string[];
  readonly clampGates?: boolean;
  readonly adapterLen?: string;
  readonly model?: string;
  readonly heads?: string;
  readonly gate?: string;
  readonly tower?: string;
  readonly visionHeads?: string;
  readonly dtype?: string;
  readonly links?: boolean;
  readonly json?: boolean;
}

const dtypes = ["f32", "bf16", "f16"] as const satisfies readonly DType[];

export async function convertCommand(
  input: string,
  out: string,
  flags: ConvertFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const { to, assumed, reduce, isFitted, dtype, promptLength, heads, visionHeads, rawGates } = readFlags(flags);
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
  await checkLinks(flags, [model, flags.tower]);
  const base = model === undefined ? undefined : await readModelConfig(model);
  const originalGate: GateActivation = assumed === "raw" ? "none" : "tanh";
  const source = await readSource(input, folder, {
    originalGate,
    visionHeads,
    rawGates,
    ...(promptLength > 0 && { promptLength }),
  });
  const seen = await seenBy(source, flags);
  if (assumed !== undefined && source.from !== "original" && to !== "original") {
    throw new InputError("Cannot convert", "--assume-gate is about files of the original code, neither side is one");
  }
  const known = withHeads(source.state, base, heads, to);
  const wanted = targetGate(to, known.layout, originalGate);
  const fitted =
    isFitted && model !== undefined && flags.data
      ? await fitOnData(model, known, flags.data, source.folder?.promptFormat, context)
      : undefined;
  const reduction = reduce === "lstsq" ? fitted?.map(({ gate }) => gate) : reduce;
  const { state, layers } = withFlagNames(() =>
    convertGates(known, { ...wanted, ...(reduction && { reduce: reduction }), clamp: flags.clampGates ?? false }),
  );
  await write(out, to, state, { ...source, dtype: dtype ?? source.dtype, seen }, flags.model);

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
  const reported: ReportedLayer[] = layers.map((row, i) => {
    const outputError = row.relativeError === 0 ? 0 : fitted?.[i]?.outputError;
    return { ...row, before: [...row.before], after: [...row.after], ...(fitted && { outputError }) };
  });
  if (flags.json) printJson(context, { ...facts, layers: reported, notes });
  else context.stdout.write(describe(facts, reported));
  return 0;
}

/** The flags as values, all problems at once. */
function readFlags(flags: ConvertFlags) {
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
  const upTo = (max: number) => ({ min: 1, max, whole: true });
  const promptLength = numberFlag("--adapter-len", flags.adapterLen, 0, upTo(MAX_PROMPT_LENGTH), problems);
  const heads = numberFlag("--heads", flags.heads, 0, upTo(65_536), problems);
  const visionHeads = numberFlag("--vision-heads", flags.visionHeads, 16, upTo(65_536), problems);
  const rawGates = choiceFlag("--gate", flags.gate, ["raw"], problems) === "raw";
  if (problems.length > 0) throw new InputError("Cannot convert", problems);
  return { to, assumed, reduce, dtype, isFitted, promptLength, heads, visionHeads, rawGates };
}

/** What the adapter's images become: as its folder says, or as the authors of a released file have it. */
async function seenBy({ from, state, folder }: Source, flags: ConvertFlags): Promise<SeenFeatures | undefined> {
  if (from === "multimodal") return await seenByReleased(state.layout, flags.tower);
  if ((flags.tower ?? flags.visionHeads ?? flags.gate) === undefined) return folder?.seen;
  const found = "--tower, --vision-heads and --gate are about files that are multimodal, this is none";
  throw new InputError("Cannot convert", found);
}

function targetGate(to: Target, layout: AdapterLayout, originalGate: GateActivation): GateConversion {
  const { gateSharing, gateActivation } = layout.shape;
  if (to === "zerogate") return { gateSharing, gateActivation };
  if (to === "peft") return { gateSharing: "scalar", gateActivation: "none" };
  if (to === "multimodal") return { gateSharing: "per-head", gateActivation: "tanh" };
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
  { folder, dtype, seen }: Pick<Source, "folder" | "dtype"> & { readonly seen: SeenFeatures | undefined },
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
  await saveAdapter(out, { config, layout, params, dtype, metadata, promptFormat, seen });
}
