/** What `convert` reports: notes on what the other program reads, and what became of each layer's gates. */
import type { AdapterLayout, GateActivation, LayerGates } from "@zerogate/core";
import { formatSmall } from "@zerogate/trainer/command";
import type { Source, Target } from "./convert_source.ts";
import { table } from "./table.ts";

/** What became of a layer's gates and, if it was measured, ‖after − before‖ / ‖before‖ of what the layer adds. */
export interface ReportedLayer extends Omit<LayerGates, "before" | "after"> {
  readonly before: readonly number[];
  readonly after: readonly number[];
  readonly outputError?: number | undefined;
}

export function targetNotes(to: Target, { from, folder }: Source, originalGate: GateActivation): string[] {
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

export function gateName({ shape }: AdapterLayout): string {
  const { gateSharing, gateActivation } = shape;
  return `${gateSharing}${gateActivation === "tanh" ? " tanh" : ""}`;
}

export function describe(
  facts: {
    from: string;
    to: string;
    out: string;
    adapterLayers: number;
    adapterLen: number;
    gates: { before: string; after: string };
  },
  layers: readonly ReportedLayer[],
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
