/** `zerogate adapters diff A B`: where two adapters differ, in their configs and layer by layer. */
import { type AdaptionPromptConfig, isSameTemplate, layersOf } from "@zerogate/core";
import { readAdapter, type StoredAdapter } from "@zerogate/core/node";
import { formatSmall } from "../run/format.ts";
import { adapterFolder } from "../run/locate.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { table } from "./table.ts";

interface Difference {
  readonly name: string;
  readonly a: unknown;
  readonly b: unknown;
}

interface Distance {
  readonly max: number;
  readonly mean: number;
}

/** 0 where configs, layouts and all numbers are the same, else 1. */
export async function diffCommand(
  a: string,
  b: string,
  { json = false }: { json?: boolean },
  context: CommandContext,
): Promise<ExitCode> {
  const onNote = (note: string) => context.stderr.write(`${note}\n`);
  const read = async (folder: string) => await readAdapter(await adapterFolder(folder, onNote));
  const [first, second] = [await read(a), await read(b)];
  const config = [...configDifferences(first.config, second.config), ...promptDifferences(first, second)];
  const layout = layoutDifferences(first, second);
  const layers = layout.length > 0 ? [] : layerDistances(first, second);
  const isSame =
    config.length === 0 && layout.length === 0 && layers.every(({ prompt, gate }) => prompt.max + gate.max === 0);
  if (json) printJson(context, { same: isSame, config, layout, layers });
  else context.stdout.write(isSame ? "no difference\n" : describe([...config, ...layout], layers));
  return isSame ? 0 : 1;
}

function configDifferences(a: AdaptionPromptConfig, b: AdaptionPromptConfig): Difference[] {
  const names = Object.keys(a) as (keyof AdaptionPromptConfig)[];
  return differences(names.map((name) => ({ name, a: a[name], b: b[name] })));
}

/** Null where an adapter does not say how its prompts were written. */
function promptDifferences({ promptFormat: a }: StoredAdapter, { promptFormat: b }: StoredAdapter): Difference[] {
  const isSame = a && b && isSameTemplate(a.template, b.template);
  return differences([
    ...(isSame ? [] : [{ name: "template", a: a?.template ?? null, b: b?.template ?? null }]),
    { name: "bos", a: a?.bos ?? null, b: b?.bos ?? null },
  ]);
}

function layoutDifferences(a: StoredAdapter, b: StoredAdapter): Difference[] {
  const facts = ({ layout, dtype }: StoredAdapter) => ({
    baseLayers: layersOf(layout),
    adaptedLayers: layout.adaptedLayers,
    promptLength: layout.promptLength,
    hiddenSize: layout.hiddenSize,
    gateSharing: layout.gateSharing,
    gateActivation: layout.gateActivation,
    gateLength: layout.gateLength,
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

function layerDistances(a: StoredAdapter, b: StoredAdapter): { layer: number; prompt: Distance; gate: Distance }[] {
  return a.layout.places.map(({ layer, prompt, gate }) => {
    const between = (from: number, to: number) => distance(a.params.subarray(from, to), b.params.subarray(from, to));
    return { layer, prompt: between(prompt, gate), gate: between(gate, gate + a.layout.gateLength) };
  });
}

/** The largest and the mean |a − b|. */
function distance(a: Float32Array, b: Float32Array): Distance {
  let max = 0;
  let sum = 0;
  for (const [i, value] of a.entries()) {
    const difference = Math.abs(value - (b[i] ?? Number.NaN));
    max = Math.max(max, difference);
    sum += difference;
  }
  return { max, mean: sum / a.length };
}

function describe(
  facts: readonly Difference[],
  layers: readonly { layer: number; prompt: Distance; gate: Distance }[],
): string {
  const lines = facts.map(({ name, a, b }) => `${name}: ${JSON.stringify(a)} -> ${JSON.stringify(b)}\n`).join("");
  if (layers.length === 0) return lines;
  const rows = layers.map(({ layer, prompt, gate }) => [
    String(layer),
    ...[prompt.max, prompt.mean, gate.max, gate.mean].map(formatSmall),
  ]);
  return `${lines}${table([["layer", "prompt max", "mean", "gate max", "mean"], ...rows])}`;
}
