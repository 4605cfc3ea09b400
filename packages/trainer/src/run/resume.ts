/** Where a resumed run goes on, and whether it may: every change since then is explained, those that decide bits are refused. */
import { InputError } from "@zerogate/core";
import {
  type ConfigKey,
  comparedOtherwise,
  completeConfig,
  configHash,
  configKeys,
  ownCommand,
  safeChanges,
  showValue,
  suggest,
  type TrainConfig,
  unsafeChanges,
  versions,
} from "@zerogate/run-config";
import type { Checkpoint, RunState } from "@zerogate/run-files";
import { loadReceipt, newestCheckpoint, paramsDigest } from "@zerogate/run-files";
import { type AcceptedChange, type AcceptedRecord, readAccepted, writeAccepted } from "./accepted.ts";
import { checkProof } from "./check_proof.ts";
import type { RunInputs } from "./inputs.ts";
import { readStoredConfig, writeRunConfig } from "./run_folder.ts";

/** What decides bits besides config keys, and what a change of it means. */
const meanings = {
  base: "the base model's files changed",
  data: "the data, its tokens or what is held out changed",
  tokenizer: "the tokenizer changed",
  plan: "the order of the samples changed",
  zerogate: "another version may compute otherwise",
  node: "another version may compute exp, cos and others otherwise",
  engine: "its numbers would no longer be those of one engine",
  receipt: "what was trained up to here is no longer proven",
  initAdapter: "the numbers that training begins with changed",
} as const;

const acceptableFields: readonly string[] = [...new Set([...Object.keys(meanings), ...configKeys])];

/** What the finished adapter is goes by them, so `verify` must find them in the stored config. */
const deliveryKeys: readonly ConfigKey[] = ["adapterDtype", "adapterFrom"];

export interface ResumePoint {
  /** None if the run ended before its first. */
  readonly checkpoint: Checkpoint | undefined;
  readonly accepted: readonly AcceptedChange[];
  /** Fields of which any change is accepted. */
  readonly accept: readonly string[];
  /** Steps after which something was last changed by consent. */
  readonly floor: number;
}

export interface ResumeWish {
  /** The config of this call: the stored one with flags on top. */
  readonly config: TrainConfig;
  /** Names that `--accept-change` gave. */
  readonly accept: readonly string[];
  /** Receives what is broken, and what is taken up again of the run. */
  readonly onWarning: (message: string) => void;
  /** Receives each change that is allowed. */
  readonly onNote: (message: string) => void;
}

/** @throws InputError if a name is no field whose change could be accepted. */
export function checkAcceptedFields(accept: readonly string[]): void {
  const problems = accept
    .filter((field) => !acceptableFields.includes(field))
    .map((field) => {
      const near = suggest(field, acceptableFields);
      return `there is no "${field}"${near === undefined ? "" : `: did you mean "${near}"?`}`;
    });
  if (problems.length > 0) throw new InputError("Cannot accept a change", problems);
}

/**
 * The newest whole checkpoint, and which changes since then are accepted.
 * @throws InputError that says what is no longer as it was and was not accepted; DamagedError if the receipt does not
 *   prove the checkpoint.
 */
export async function openCheckpoint(inputs: RunInputs, wish: ResumeWish): Promise<ResumePoint> {
  const { config, accept, onWarning, onNote } = wish;
  const checkpoint = await newestCheckpoint(config.out, inputs.model, onWarning);
  if (!checkpoint) {
    onWarning("the run ended before its first checkpoint: it starts again from its first step, to the same result");
  }
  const stored = await readStoredConfig(config.out);
  const records = await readAccepted(config.out);
  const before = checkpoint ? configOf(checkpoint) : stored;
  for (const key of safeChanges(before, config)) {
    if (key === "out" || key === "preset" || key === "cacheDir") continue;
    if (key === "initAdapter" && !checkpoint) continue; // its numbers are compared below
    const reason = comparedOtherwise.includes(key)
      ? "what it stands for is compared"
      : "it changes nothing of what is trained";
    onNote(`${key} was ${showValue(before[key])}, is ${showValue(config[key])}: allowed, ${reason}`);
  }
  if (stored.cacheDir !== undefined && config.cacheDir !== stored.cacheDir) {
    const advice = `--cache-dir ${stored.cacheDir} does so`;
    onNote(`the cache folder in the stored config is not used, as a run must not say where else is written: ${advice}`);
  }
  const began = checkpoint?.state ?? startOf(config.out, stored, records);
  const changed = [...(began ? changesSince(began, inputs) : []), ...configChanges(before, config)];
  if (!checkpoint) changed.push(...firstNumbersChange(config, stored, inputs));
  if (checkpoint) {
    const isAccepted = (change: AcceptedChange) =>
      accept.includes(change.field) || isKnown(records, checkpoint.state.step, change);
    changed.push(
      ...(await checkProof(config.out, checkpoint.folder, checkpoint, inputs.model, { isAccepted, onNote })),
    );
  }
  const accepted = await acceptChanges(config, checkpoint?.state.step ?? 0, changed, accept, onNote);
  if (checkpoint && checkpoint.layout.length !== inputs.layout.length) {
    const sizes = `it has ${checkpoint.layout.length} numbers, the config asks for ${inputs.layout.length}`;
    throw new InputError(`Cannot resume ${config.out} with an adapter of another shape`, sizes);
  }
  const keys = configKeys.filter(
    (key) => accepted.some(({ field }) => field === key) || (deliveryKeys.includes(key) && config[key] !== stored[key]),
  );
  if (keys.length > 0) {
    const changes = Object.fromEntries(keys.map((key) => [key, config[key]]));
    await writeRunConfig(config.out, JSON.parse(JSON.stringify({ ...stored, ...changes })));
  }
  const step = checkpoint?.state.step ?? 0;
  const changes = records.map((record) => record.step).filter((at) => at <= step);
  return { checkpoint, accepted: checkpoint ? accepted : [], accept, floor: Math.max(0, ...changes) };
}

/**
 * Compares the engine, which is known only when it runs.
 * @throws InputError if it is another one and that was not accepted.
 */
export async function acceptEngine(
  config: TrainConfig,
  { checkpoint, accept }: ResumePoint,
  engine: string,
  onNote: (message: string) => void,
): Promise<readonly AcceptedChange[]> {
  const { engine: was, step } = checkpoint?.state ?? { engine, step: 0 };
  const changed = was === engine ? [] : [{ field: "engine", was, is: engine }];
  return await acceptChanges(config, step, changed, accept, onNote);
}

function configOf({ state, folder }: Checkpoint & { readonly folder: string }): TrainConfig {
  return completeConfig(state.config, state.versions.zerogate, folder);
}

type Began = Pick<RunState, "hashes" | "versions">;

/**
 * What a run without a checkpoint was begun with, as far as its receipt tells.
 * @throws InputError if the stored config is another one: somebody or something changed the file.
 */
function startOf(runDir: string, stored: TrainConfig, records: readonly AcceptedRecord[]): Began | undefined {
  const start = loadReceipt(runDir).lines[0];
  if (start?.event !== "start" || records.length > 0) return undefined;
  if (start.config !== configHash(stored)) {
    const advice = `start it again with ${ownCommand`train`}`;
    throw new InputError(`Cannot resume ${runDir}`, `its config.json is not that which it began with: ${advice}`);
  }
  return { hashes: start.hashes, versions: { zerogate: start.zerogate, node: start.node } };
}

/** Another adapter to begin with, by its numbers if the receipt has their digest, else by its name. */
function firstNumbersChange(config: TrainConfig, stored: TrainConfig, { initialParams }: RunInputs): AcceptedChange[] {
  if (config.initAdapter === undefined && stored.initAdapter === undefined) return [];
  const start = loadReceipt(config.out).lines[0];
  const [was, is] =
    start?.event === "start"
      ? [start.params, paramsDigest(initialParams)]
      : [showValue(stored.initAdapter), showValue(config.initAdapter)];
  return was === is ? [] : [{ field: "initAdapter", was, is }];
}

function changesSince(state: Began, inputs: RunInputs): AcceptedChange[] {
  const pairs = [
    ...(["base", "data", "tokenizer", "plan"] as const).map((field) => [
      field,
      state.hashes[field],
      inputs.hashes[field],
    ]),
    ...(["zerogate", "node"] as const).map((field) => [field, state.versions[field], versions[field]]),
  ] as const;
  return pairs.flatMap(([field = "", was = "", is = ""]) => (was === is ? [] : [{ field, was, is }]));
}

function configChanges(before: TrainConfig, config: TrainConfig): AcceptedChange[] {
  return unsafeChanges(before, config).map((field) => ({
    field,
    was: showValue(before[field]),
    is: showValue(config[field]),
  }));
}

/** Those that were accepted now or by an earlier resume from the same checkpoint; the others are refused. */
async function acceptChanges(
  { out }: TrainConfig,
  step: number,
  changed: readonly AcceptedChange[],
  accept: readonly string[],
  onNote: (message: string) => void,
): Promise<readonly AcceptedChange[]> {
  if (changed.length === 0) return [];
  const records = await readAccepted(out);
  const refused = changed.filter((change) => !accept.includes(change.field) && !isKnown(records, step, change));
  if (refused.length > 0) {
    const flags = refused.map(({ field }) => `--accept-change ${field}`).join(" ");
    throw new InputError(`Cannot resume ${out} and get the same result`, [
      ...refused.map(describe),
      `to go on all the same, with this recorded in the run: ${flags}`,
    ]);
  }
  for (const change of changed) onNote(`${describe(change)}: accepted`);
  const added = changed.filter((change) => !isKnown(records, step, change)).map((change) => ({ step, ...change }));
  if (added.length > 0) {
    await writeAccepted(out, [...records, ...added]);
  }
  return changed;
}

/** An earlier resume from the same checkpoint went on with the same change. */
function isKnown(records: readonly AcceptedRecord[], step: number, { field, was, is }: AcceptedChange): boolean {
  return records.some((known) => known.step === step && known.field === field && known.was === was && known.is === is);
}

function describe({ field, was, is }: AcceptedChange): string {
  const isHash = field in meanings && /^[0-9a-f]{64}(\+[0-9a-f]{64})?$/.test(was);
  const meaning = field in meanings ? meanings[field as keyof typeof meanings] : "it decides the trained bits";
  return isHash ? meaning : `${field} was ${was}, is ${is}: ${meaning}`;
}
