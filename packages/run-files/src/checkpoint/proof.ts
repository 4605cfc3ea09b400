/**
 * What a run's receipt proves of a checkpoint. A manifest only says that files are as somebody published them; the receipt
 * says what the run had trained: parameters, moments and everything in the state that follows from its lines.
 */
import { isDeepStrictEqual } from "node:util";
import { type AdapterLayout, adapterLayout, defaultAdapterLayers, type ModelConfig, settingsOf } from "@zerogate/core";
import { createAdamWState, groupCount } from "@zerogate/core/training";
import { completeConfig, configHash, hasChanges, undoChanges, visionShape } from "@zerogate/run-config";
import { momentsDigest, paramsDigest, type ReadReceipt, type ReceiptLine } from "../receipt/receipt.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { RunState } from "./run_state.ts";

export type Proof =
  /** The receipt has the line that the checkpoint ends with; `problems` says what differs, one sentence each. */
  | { readonly kind: "known"; readonly problems: readonly string[]; readonly notes: readonly string[] }
  /** The lines before it are lost, and somebody agreed to go on from it. */
  | { readonly kind: "gap" }
  | { readonly kind: "unknown" };

/** Compares a checkpoint with the receipt of its run. */
export function proofOf({ lines }: Pick<ReadReceipt, "lines">, checkpoint: Checkpoint, model: ModelConfig): Proof {
  const { state } = checkpoint;
  const at = lines.findIndex(({ chain }) => chain === state.receipt);
  if (at === -1) return { kind: isInGap(lines, state) ? "gap" : "unknown" };
  const before = lines.slice(0, at + 1);
  const isWhole = before[0]?.event === "start" && !before.some(({ event }) => event === "gap");
  const numbers = numberProblems(before, checkpoint, isWhole);
  const history = isWhole ? [...historyProblems(before, state), ...shapeProblems(checkpoint, model)] : [];
  const what = "the receipt, of an earlier version, has no digest of the moments";
  return { kind: "known", problems: [...numbers.problems, ...history], notes: numbers.hasMoments ? [] : [what] };
}

/** Whether the line that a state knows is one of those that were lost, up to that of the checkpoint which the gap names. */
function isInGap(lines: readonly ReceiptLine[], { step, receipt }: RunState): boolean {
  let last = 0;
  for (const line of lines) {
    if (line.event === "gap" && (line.before === receipt || (last <= step && step < line.step))) return true;
    if ("step" in line) last = line.step;
  }
  return false;
}

/** Parameters and moments are those after the last step, or those of the start; a step that was skipped changes none. */
function numberProblems(before: readonly ReceiptLine[], checkpoint: Checkpoint, isWhole: boolean) {
  const { state, layout, params, moments } = checkpoint;
  const problems: string[] = [];
  const reached = before.findLast((line) => line.event !== "eval" && line.event !== "accepted");
  const step = reached && "step" in reached ? reached.step : 0;
  if (state.step !== step) problems.push(`its state is that of step ${state.step}, the receipt's of step ${step}`);
  const line = before.findLast(({ event }) => event === "step" || event === "start" || event === "gap");
  if (line && "params" in line && line.params !== paramsDigest(params)) {
    problems.push("its parameters are not those of the receipt");
  }
  const recorded =
    line?.event === "start" ? noMoments(layout, moments) : line?.event === "step" ? line.moments : undefined;
  const start = before[0];
  if (line?.event === "step" && recorded === undefined && start?.event === "start" && start.version > 1) {
    problems.push("the receipt has lost the digest of its moments");
  }
  if (recorded !== undefined && recorded !== momentsDigest(moments)) {
    problems.push("its moments are not those of the receipt");
  }
  const updates = before.filter(({ event }) => event === "step").length;
  // Every update is one of at least one group.
  const isCounted =
    moments.t.every((count) => count <= updates) && moments.t.reduce((sum, count) => sum + count, 0) >= updates;
  if (isWhole && !isCounted) problems.push(`it counts ${moments.t.join(", ")} updates, the receipt ${updates}`);
  return { problems, hasMoments: recorded !== undefined || line?.event === "gap" };
}

function noMoments({ table }: AdapterLayout, { m }: Checkpoint["moments"]): string {
  return momentsDigest(createAdamWState(m.length, groupCount(table)));
}

/** Compares what a state says of the run so far with lines from the start on. */
function historyProblems(before: readonly ReceiptLine[], state: RunState): string[] {
  const start = before[0];
  if (start?.event !== "start") return [];
  const accepted = before.filter((line) => line.event === "accepted");
  const known: Record<string, string> = {
    ...start.hashes,
    engine: start.engine,
    zerogate: start.zerogate,
    node: start.node,
  };
  for (const { field, is } of accepted) if (field in known) known[field] = is;
  const recorded: Record<string, string> = { ...state.hashes, engine: state.engine, ...state.versions };
  const problems = Object.keys(known)
    .filter((field) => known[field] !== recorded[field])
    .map((field) => `its ${field} is not that of the receipt`);
  const config = completeConfig(state.config, state.versions.zerogate, "the checkpoint");
  if (!hasChanges(config, accepted) || configHash(undoChanges(config, accepted)) !== start.config)
    problems.push("its config is not that of the receipt");
  if (state.seed !== config.seed) problems.push("its seed is not that of its config");

  const voided = before.flatMap((line) => (line.event === "void" ? [`${line.step - 1} ${line.reason}`] : []));
  const done = state.voided.filter(({ step }) => step < state.step).map(({ step, reason }) => `${step} ${reason}`);
  if (voided.join("\n") !== done.join("\n")) problems.push("it skipped other steps than the receipt");
  return [...problems, ...validationProblems(before, state)];
}

/** The best validation, and how many came after it: validations of the base, at step 0, do not count. */
function validationProblems(before: readonly ReceiptLine[], state: RunState): string[] {
  let best: { step: number; loss: number } | undefined;
  let withoutGain = 0;
  for (const line of before) {
    if (line.event !== "eval" || line.step === 0) continue;
    const isBest = best === undefined || line.loss < best.loss;
    if (isBest) best = { step: line.step, loss: line.loss };
    withoutGain = isBest ? 0 : withoutGain + 1;
  }
  const problems: string[] = [];
  if (state.best?.step !== best?.step || state.best?.loss !== best?.loss) {
    problems.push("its best validation is not that of the receipt");
  }
  if (state.evaluationsWithoutGain !== withoutGain) {
    problems.push(`it counts ${state.evaluationsWithoutGain} validations without a gain, the receipt ${withoutGain}`);
  }
  const hasEvaluation = before.some((line) => line.event === "eval" && line.step === state.step);
  if (state.owesEvaluation && hasEvaluation) problems.push("it owes a validation that the receipt has");
  return problems;
}

/** The config, which the receipt proves, says how the numbers are read, unless another adapter did at the start. */
function shapeProblems({ state, layout }: Checkpoint, model: ModelConfig): string[] {
  const config = completeConfig(state.config, state.versions.zerogate, "the checkpoint");
  if (config.initAdapter !== undefined) return [];
  const { adapterLen: promptLength, adapterLayers: adaptedLayers = defaultAdapterLayers(model) } = config;
  const { vision } = layout.shape;
  const shape = {
    promptLength,
    adaptedLayers,
    ...settingsOf(config),
    outputBiasTimes: config.outputBias,
    ...(config.tower !== "none" && { vision: visionShape(config, vision?.featureSize ?? 1) }),
  };
  const isSame = isDeepStrictEqual(layout, adapterLayout(shape, model));
  return isSame ? [] : ["its adapter has another shape than its config"];
}
