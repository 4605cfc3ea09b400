/** `zerogate adapters average A B… --out DIR`: the weighted mean of the numbers of adapters of one layout. */
import { isDeepStrictEqual } from "node:util";
import { InputError, type PromptFormat, weightedSum } from "@zerogate/core";
import type { DType } from "@zerogate/core/engine";
import { isSameTemplate, moduleNames } from "@zerogate/core/formats";
import { readAdapter, type StoredAdapter, saveAdapter } from "@zerogate/core/node";
import { adapterFolder } from "@zerogate/trainer/command";
import { sightName, sightOf } from "./adapter_sight.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { choiceFlag } from "./flags.ts";
import { checkNewFolder } from "./new_folder.ts";

export interface AverageFlags {
  readonly out: string;
  readonly weights?: string;
  readonly dtype?: string;
  readonly links?: boolean;
  readonly json?: boolean;
}

/** What must agree before numbers can be averaged. */
function layoutName({ layout }: StoredAdapter): string {
  const { adaptedLayers, promptLength, gateSharing, gateActivation } = layout.shape;
  const { layers, hiddenSize, heads } = layout.base;
  const gateLength = gateSharing === "scalar" ? 1 : heads;
  return (
    `${adaptedLayers} of ${layers} layers, ${promptLength} prompts of ${hiddenSize} numbers, ` +
    `${gateLength} ${gateSharing} gate${gateActivation === "tanh" ? " with tanh" : ""}`
  );
}

export async function averageCommand(
  folders: readonly string[],
  flags: AverageFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const problems: string[] = [];
  const dtype = choiceFlag<DType>("--dtype", flags.dtype, ["f32", "bf16", "f16"], problems) ?? "f32";
  const weights = parseWeights(flags.weights, folders.length, problems);
  if (folders.length < 2) problems.push(`there is ${folders.length} adapter, needed are at least 2`);
  if (problems.length > 0) throw new InputError("Cannot average", problems);
  await checkNewFolder(flags.out);

  const onNote = (note: string) => context.stderr.write(`${note}\n`);
  const adapters: StoredAdapter[] = [];
  for (const folder of folders) adapters.push(await readAdapter(await adapterFolder(folder, onNote, flags.links)));
  const [first] = adapters as [StoredAdapter];
  for (const [i, adapter] of adapters.entries()) {
    if (layoutName(adapter) !== layoutName(first)) {
      problems.push(`${folders[i]} has ${layoutName(adapter)}; ${folders[0]} has ${layoutName(first)}`);
    }
    const [names, theirs] = [moduleNames(adapter.layout.base), moduleNames(first.layout.base)];
    if (names !== theirs) problems.push(`${folders[i]} is for a base with ${names}; ${folders[0]} with ${theirs}`);
  }
  if (problems.length > 0) throw new InputError("Cannot average adapters of different layouts", problems);
  for (const [i, adapter] of adapters.entries()) {
    if (isDeepStrictEqual(sightOf(adapter), sightOf(first))) continue;
    problems.push(`${folders[i]} sees ${sightName(adapter)}; ${folders[0]} sees ${sightName(first)}`);
  }
  if (problems.length > 0) throw new InputError("Cannot average adapters that see images differently", problems);
  const promptFormat = commonFormat(folders, adapters, (note) => context.stderr.write(`${note}\n`));
  const bases = new Set(adapters.map(({ config }) => config.baseModelNameOrPath));
  if (bases.size > 1) {
    context.stderr.write(`the adapters name different bases: ${[...bases].map((base) => base ?? "none").join(", ")}\n`);
  }
  const params = weightedSum(adapters.map((adapter, k) => ({ params: adapter.params, weight: weights[k] ?? 0 })));
  await saveAdapter(flags.out, {
    config: first.config,
    layout: first.layout,
    params,
    dtype,
    promptFormat,
    seen: first.seen,
  });
  const adaptersUsed = folders.map((path, i) => ({ path, weight: weights[i] }));
  if (flags.json) printJson(context, { out: flags.out, adapters: adaptersUsed });
  else
    context.stdout.write(
      `${flags.out}: mean of ${adaptersUsed.map(({ path, weight }) => `${weight} × ${path}`).join(" + ")}\n`,
    );
  return 0;
}

/** How the prompts of all of them were written; those that do not say it are taken as the others. */
function commonFormat(
  folders: readonly string[],
  adapters: readonly StoredAdapter[],
  onNote: (note: string) => void,
): PromptFormat | undefined {
  const known = adapters.flatMap(({ promptFormat }, i) => (promptFormat ? [{ folder: folders[i], promptFormat }] : []));
  const [first] = known;
  if (!first) return undefined;
  const { template, bos } = first.promptFormat;
  const others = known.filter(
    ({ promptFormat }) => promptFormat.bos !== bos || !isSameTemplate(promptFormat.template, template),
  );
  if (others.length > 0) {
    const name = (format: PromptFormat) => `template "${format.template.name}", bos "${format.bos}"`;
    const problems = others.map(
      ({ folder, promptFormat }) =>
        `${folder} was trained with ${name(promptFormat)}; ${first.folder} with ${name(first.promptFormat)}`,
    );
    throw new InputError("Cannot average adapters that were trained on other prompts", problems);
  }
  if (known.length < adapters.length)
    onNote(`not all of the adapters say how their prompts were written: the mean says it as ${first.folder}`);
  return first.promptFormat;
}

/** Weights that sum to 1. */
function parseWeights(text: string | undefined, count: number, problems: string[]): number[] {
  if (text === undefined) return Array.from({ length: count }, () => 1 / count);
  const weights = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  const sum = weights.reduce((a, b) => a + b, 0);
  if (
    weights.length !== count ||
    !weights.every((weight) => weight >= 0) ||
    !(sum > 0 && sum < Number.POSITIVE_INFINITY)
  ) {
    problems.push(
      `--weights is "${text}", expected ${count} numbers of at least 0, not all 0, with commas between them`,
    );
    return [];
  }
  return weights.map((weight) => weight / sum);
}
