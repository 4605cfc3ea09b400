/** `zerogate adapters show ADAPTER`: what an adapter is and how far it has opened, layer by layer. */
import { effectiveGates, layerParts, parameterCount, partNumbers, trainableLine } from "@zerogate/core";
import { hashFile, readAdapter, readModelConfig } from "@zerogate/core/node";
import { adapterFolder, checkLinks, formatCount, formatSmall } from "@zerogate/trainer/command";
import { sparkline } from "../status/sparkline.ts";
import { continued, plainCell } from "../terminal/plain_text.ts";
import { sightHash, sightName } from "./adapter_sight.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { table } from "./table.ts";

export interface ShowFlags {
  readonly model?: string;
  readonly links?: boolean;
  readonly json?: boolean;
}

export async function showCommand(
  folder: string,
  { model, links, json = false }: ShowFlags,
  context: CommandContext,
): Promise<ExitCode> {
  await checkLinks({ links }, [model]);
  const base = model === undefined ? undefined : await readModelConfig(model);
  const place = await adapterFolder(folder, (note) => context.stderr.write(`${note}\n`), links);
  const stored = await readAdapter(place, base?.heads);
  const { config, layout, params, dtype, weightsPath, metadata, promptFormat, seen, warnings } = stored;
  const { layers: baseLayers, hiddenSize } = layout.base;
  const { promptLength, adaptedLayers, gateSharing, gateActivation } = layout.shape;
  const opened = effectiveGates({ layout, params });
  const layers = layerParts(layout).map(({ layer, prompt }, i) => ({
    layer,
    gates: [...(opened[i]?.effective ?? [])],
    ...promptNorms(partNumbers(prompt, params), hiddenSize),
  }));
  const trainable = layout.length;
  const counts = { trainable, ...(base && { all: parameterCount(base) + trainable }) };
  for (const warning of warnings) context.stderr.write(`${continued(warning)}\n`);
  if (json) {
    const shape = { baseLayers, hiddenSize, gateSharing, gateActivation, dtype };
    const sha256 = await hashFile(weightsPath);
    const { vision } = layout.shape;
    const images = vision && { images: { ...vision, ...seen, sha256: await sightHash(place, stored) } };
    const facts = { path: folder, config, ...shape, sha256, parameters: counts, metadata, promptFormat };
    printJson(context, { ...facts, ...images, layers });
    return 0;
  }
  const gate = `${gateSharing}${gateActivation === "tanh" ? " with tanh" : ""}`;
  const facts = [
    ["adapter", folder],
    ["base", config.baseModelNameOrPath ?? "not named"],
    ["layers", `${adaptedLayers} of ${baseLayers}, the last ones`],
    ["prompts", `${promptLength} a layer, of ${formatCount(hiddenSize)} numbers in ${dtype}`],
    ["gate", gate],
    ["task", config.taskType ?? "none"],
    ["template", promptFormat?.template.name ?? "not said"],
    ["bos", promptFormat?.bos ?? "not said"],
    ["images", sightName(stored)],
    ["sha256", await hashFile(weightsPath)],
    [
      "gates",
      sparkline(
        layers.map(({ gates }) => meanMagnitude(gates)),
        80,
      ),
    ],
  ];
  const count =
    counts.all === undefined
      ? `trainable params: ${formatCount(trainable)} (--model tells the share)`
      : trainableLine({ trainable, all: counts.all });
  const rows = layers.map(({ layer, gates, meanNorm, largestNorm }) => [
    String(layer),
    gates.length === 1
      ? formatSmall(gates[0] ?? 0)
      : `${formatSmall(Math.min(...gates))} … ${formatSmall(Math.max(...gates))}`,
    formatSmall(meanNorm),
    formatSmall(largestNorm),
  ]);
  const head = ["layer", opened[0]?.stored.length === 1 ? "gate" : "gates of heads", "mean prompt norm", "largest"];
  context.stdout.write(
    `${facts.map(([name = "", value = ""]) => `${name.padEnd(9)}${plainCell(value)}`).join("\n")}\n${count}\n\n${table([head, ...rows])}`,
  );
  return 0;
}

/** Euclidean norms of the prompts of one layer; fresh ones have √D. */
function promptNorms(prompts: Float32Array, D: number): { meanNorm: number; largestNorm: number } {
  const norms = Array.from({ length: prompts.length / D }, (_, k) => {
    return Math.sqrt(prompts.subarray(k * D, (k + 1) * D).reduce((sum, x) => sum + x * x, 0));
  });
  return { meanNorm: norms.reduce((a, b) => a + b, 0) / norms.length, largestNorm: Math.max(...norms) };
}

function meanMagnitude(gates: readonly number[]): number {
  return gates.reduce((sum, gate) => sum + Math.abs(gate), 0) / gates.length;
}
