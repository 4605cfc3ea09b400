/** The engines that a config can name: those of our packages, and a module of your own by its path. */
import { pathToFileURL } from "node:url";
import { InputError } from "@zerogate/core";
import type { EngineDescription, EngineTraits, MachineCheck } from "@zerogate/core/engine";
import { engineNames, isEnginePath, rows } from "./rows.ts";

/** An engine that a config names, and the module that workers import. */
export interface KnownEngine {
  readonly description: EngineDescription;
  readonly module: string;
}

/** In the order of `rows`. */
const engines = await Promise.all(rows.map(({ load }) => load()));

/**
 * The first engine whose traits here are of some kind, in the order of `auto`. Those behind it are not asked: to answer, some
 * load the libraries of a GPU.
 */
export function firstEngine(
  has: (traits: EngineTraits) => boolean,
  among: readonly { readonly description: EngineDescription }[] = engines,
): string | undefined {
  for (const { description } of among) {
    const name = description.names.find((one) => has(description.traits(one)));
    if (name !== undefined) return name;
  }
  return undefined;
}

/** Names of all our engines whose traits here are of some kind, for messages. */
export function namesOfEngines(has: (traits: EngineTraits) => boolean): string[] {
  return engines.flatMap(({ description }) => description.names.filter((name) => has(description.traits(name))));
}

/** The description of one of our engines; undefined for a path. */
export function describedEngine(name: string): EngineDescription | undefined {
  return engines.find(({ description }) => description.names.includes(name))?.description;
}

/** What each of our engines finds of this machine, in the order of `rows`. Takes minutes if a GPU compiles its kernels. */
export async function engineChecks(): Promise<readonly MachineCheck[]> {
  const found = await Promise.all(engines.map(async ({ description }) => (await description.checks?.()) ?? []));
  return found.flat();
}

/** How many devices an engine has here: the default of `workers`. At least 1, so that its choice can say what is missing. */
export function deviceCount(engine: unknown): number {
  const name = typeof engine === "string" && describedEngine(engine) ? engine : "cpu";
  const devices = describedEngine(name)?.devices(name) ?? [];
  return Math.max(1, devices.filter(({ problem }) => problem === undefined).length);
}

/** @throws InputError if there is no such engine, or the module at the path is not one. */
export async function findEngine(engine: string): Promise<KnownEngine> {
  const ours = engines.find(({ description }) => description.names.includes(engine));
  if (ours) return { description: ours.description, module: ours.module() };
  const attempt = `Cannot use the engine ${engine}`;
  if (!isEnginePath(engine))
    throw new InputError(attempt, `known are ${engineNames.join(", ")}, or the path of a module`);
  const module = pathToFileURL(engine).href;
  const exports = (await import(module).catch((cause: Error) => {
    throw new InputError(attempt, `it could not be imported: ${cause.message}`, { cause });
  })) as { readonly createEngine?: unknown; readonly description?: Partial<EngineDescription> };
  const { createEngine, description } = exports;
  const isDescribed =
    description?.names?.[0] !== undefined && description.traits && description.setup && description.devices;
  if (typeof createEngine !== "function" || !isDescribed) {
    const needed = "it must export createEngine(options, device) and a description";
    throw new InputError(attempt, `${needed}: docs/engines.md has an example`);
  }
  return { description: description as EngineDescription, module };
}
