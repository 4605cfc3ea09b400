/** Whether all hosts were given the same: what decides bits, and what decides which way the run goes. */
import { hostname } from "node:os";
import { InputError } from "@zerogate/core";
import type { TrainConfig } from "@zerogate/run-config";
import { configHash, versions } from "@zerogate/run-config";
import type { FindFeatures } from "@zerogate/vision";
import { sharedDevices } from "../cluster/shared_devices.ts";
import { readBase } from "../open/base.ts";
import { resolveCompute } from "../open/compute.ts";
import type { RunInputs } from "../run/inputs.ts";
import { placeBase, placeTokenizer } from "./broadcast_base.ts";
import { shareFeatures } from "./shared_features.ts";
import type { Team } from "./team.ts";

/** Keys that change no bit but must agree, because all ranks walk the same way through a run. */
const commonKeys = ["onBadNumbers", "rollbackSteps", "reportAnswers", "sampleEvery", "adapterFrom"] as const;

/** Opens the inputs on all ranks, each with its own place of the base, and compares them. @throws InputError that names ranks and fields, on all ranks. */
export async function openAlike(
  team: Team,
  config: TrainConfig,
  open: (config: TrainConfig, find: FindFeatures) => Promise<RunInputs>,
): Promise<RunInputs> {
  const sets = setsWithImages(config);
  const seeing = await team.collect("comparing what is seen", async () => sets.join(" and "));
  checkAlike(
    team,
    seeing.map((names) => ({ "data with images": names || "none" })),
  );
  const features = shareFeatures(team, sets.length);
  const placed = {
    ...config,
    model: await placeBase(team, config),
    tokenizer: await placeTokenizer(team, config),
  };
  const compute = await computeOfAll(team, placed);
  let inputs: RunInputs | undefined;
  const ranks = await team.collect(
    "reading the inputs",
    async () => {
      inputs = await features.during(() => open({ ...placed, compute }, features.find));
      return { facts: factsOf(config, inputs), host: hostname(), exclusive: inputs.engine.exclusive ?? [] };
    },
    LOADING_PATIENCE,
  );
  checkAlike(
    team,
    ranks.map(({ facts }) => facts),
  );
  const shared = sharedDevices(ranks); // before any of them is opened
  if (shared.length > 0) team.fail(new InputError("Cannot train together", shared));
  if (!inputs) throw new TypeError("Cannot go on: the inputs are missing");
  return inputs;
}

/** Of `auto`: f32 as soon as one rank would take it. Every rank takes part, whatever its own config says. */
async function computeOfAll(team: Team, config: TrainConfig): Promise<TrainConfig["compute"]> {
  const resolve = async () =>
    config.compute === "auto" ? await resolveCompute(config, await readBase(config, () => {})) : config.compute;
  const computes = await team.collect("choosing the arithmetic", resolve);
  if (config.compute !== "auto") return config.compute;
  return computes.includes("f32") ? "f32" : "bf16";
}

/** The sets of data whose images are looked at. */
function setsWithImages({ tower, validationData }: TrainConfig): string[] {
  if (tower === "none") return [];
  return validationData === undefined ? ["data"] : ["data", "validation data"];
}

/** Hosts read tens of gigabytes at different speeds. */
export const LOADING_PATIENCE = 10;

type Facts = Readonly<Record<string, string>>;

function factsOf(config: TrainConfig, { hashes, totalSteps }: RunInputs): Facts {
  return {
    "zerogate version": versions.zerogate,
    "Node version": versions.node,
    config: configHash(config),
    ...hashes,
    steps: String(totalSteps),
    ...Object.fromEntries(commonKeys.map((key) => [key, String(config[key])])),
  };
}

/** @throws InputError if a fact of a rank is not that of rank 0. */
export function checkAlike(team: Team, facts: readonly Facts[]): void {
  const first = facts[0] ?? {};
  const problems = facts.flatMap((theirs, rank) =>
    Object.keys(first)
      .filter((name) => theirs[name] !== first[name])
      .map((name) => `${name} of rank ${rank} is ${theirs[name]}, of rank 0 ${first[name]}`),
  );
  if (problems.length > 0) team.fail(new InputError("Cannot train together", problems));
}
