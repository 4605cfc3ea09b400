/** `zerogate adapters diff A B`: where two adapters differ, in their configs and layer by layer. */
import { type AdaptionPromptConfig, partDistances } from "@zerogate/core";
import { isSameTemplate, moduleNames } from "@zerogate/core/formats";
import { readAdapter, type StoredAdapter } from "@zerogate/core/node";
import { adapterFolder, formatSmall } from "@zerogate/trainer/command";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { table } from "./table.ts";

export interface DiffFlags {
  readonly json?: boolean;
  readonly links?: boolean;
}

interface Difference {
  readonly name: string;
  readonly a: unknown;
  readonly b: unknown;
}

interface Distance {
  readonly max: number;
  readonly mean: number;
}

/** The distances of the parts of one layer, by what they are; without a layer: of those that belong to none. */
interface LayerDistances {
  readonly layer?: number;
  readonly parts: ReadonlyMap<string, Distance>;
}

/** 0 if configs, layouts and all numbers are the same, else 1. */
export async function diffCommand(
  a: string,
  b: string,
  { json = false, links }: DiffFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const onNote = (note: string) => context.stderr.write(`${note}\n`);
  const read = async (folder: string) => await readAdapter(await adapterFolder(folder, onNote, links));
  const [first, second] = [await read(a), await read(b)];
  const config = [
    ...configDifferences(first.config, second.config),
    ...promptDifferences(first, second),
    ...sightDifferences(first, second),
  ];
  const layout = layoutDifferences(first, second);
  const layers = layout.length > 0 ? [] : layerDistances(first, second);
  const isMoved = ({ parts }: LayerDistances) => [...parts.values()].some(({ max }) => max !== 0);
  const isSame = config.length === 0 && layout.length === 0 && !layers.some(isMoved);
  const shown = layers.map(({ parts, ...where }) => ({ ...where, ...Object.fromEntries(parts) }));
  if (json) printJson(context, { same: isSame, config, layout, layers: shown });
  else context.stdout.write(isSame ? "no difference\n" : describe([...config, ...layout], layers));
  return isSame ? 0 : 1;
}

function configDifferences(a: AdaptionPromptConfig, b: AdaptionPromptConfig): Difference[] {
  const names = Object.keys(a) as (keyof AdaptionPromptConfig)[];
  return differences(names.map((name) => ({ name, a: a[name], b: b[name] })));
}

/** Null if an adapter does not say how its prompts were written. */
function promptDifferences({ promptFormat: a }: StoredAdapter, { promptFormat: b }: StoredAdapter): Difference[] {
  const isSame = a && b && isSameTemplate(a.template, b.template);
  return differences([
    ...(isSame ? [] : [{ name: "template", a: a?.template ?? null, b: b?.template ?? null }]),
    { name: "bos", a: a?.bos ?? null, b: b?.bos ?? null },
  ]);
}

/** Null if an adapter sees no images. */
function sightDifferences({ seen: a }: StoredAdapter, { seen: b }: StoredAdapter): Difference[] {
  const names = ["features", "featureNorm", "severalImages", "tower"] as const;
  return differences(names.map((name) => ({ name, a: a?.[name] ?? null, b: b?.[name] ?? null })));
}

function layoutDifferences(a: StoredAdapter, b: StoredAdapter): Difference[] {
  const facts = ({ layout, dtype }: StoredAdapter) => ({
    modules: moduleNames(layout.base),
    baseLayers: layout.base.layers,
    adaptedLayers: layout.shape.adaptedLayers,
    promptLength: layout.shape.promptLength,
    hiddenSize: layout.base.hiddenSize,
    gateSharing: layout.shape.gateSharing,
    gateActivation: layout.shape.gateActivation,
    vision: layout.shape.vision ?? null,
    gateLength: layout.shape.gateSharing === "scalar" ? 1 : layout.base.heads,
    dtype,
  });
  const [first, second] = [facts(a), facts(b)];
  const names = Object.keys(first) as (keyof typeof first)[];
  // Numbers of two dtypes can still be compared.
  return differences(names.map((name) => ({ name, a: first[name], b: second[name] }))).filter(
    ({ name }) => name !== "dtype",
  );
}

function differences(facts: readonly Difference[]): Difference[] {
  return facts.filter(({ a, b }) => JSON.stringify(a) !== JSON.stringify(b));
}

function layerDistances(a: StoredAdapter, b: StoredAdapter): LayerDistances[] {
  const layers = new Map<number | undefined, Map<string, Distance>>();
  for (const { part, max, mean } of partDistances(a.layout.table, a.params, b.params)) {
    const parts = layers.get(part.layer) ?? new Map<string, Distance>();
    layers.set(part.layer, parts.set(part.layer === undefined ? part.name : part.part, { max, mean }));
  }
  return [...layers].map(([layer, parts]) => ({ ...(layer !== undefined && { layer }), parts }));
}

function describe(facts: readonly Difference[], layers: readonly LayerDistances[]): string {
  const lines = facts.map(({ name, a, b }) => `${name}: ${JSON.stringify(a)} -> ${JSON.stringify(b)}\n`).join("");
  if (layers.length === 0) return lines;
  const names = [...new Set(layers.flatMap(({ parts }) => [...parts.keys()]))];
  const head = ["layer", ...names.flatMap((name) => [`${name} max`, "mean"])];
  const rows = layers.map(({ layer, parts }) => {
    const cells = names.flatMap((name) => {
      const distance = parts.get(name);
      return distance ? [formatSmall(distance.max), formatSmall(distance.mean)] : ["", ""];
    });
    return [layer === undefined ? "" : String(layer), ...cells];
  });
  return `${lines}${table([head, ...rows])}`;
}
