/**
 * The engines of our packages: a new one is a row here. None of them is loaded, so that help and config know their names at once; of
 * those that few runs use, the description alone is loaded later.
 */
import type { EngineDescription } from "@zerogate/core/engine";
import { workerModule } from "./worker_module.ts";

/** How an engine describes itself, and the module that workers import. */
interface DescribedEngine {
  readonly description: EngineDescription;
  readonly module: () => string;
}

interface EngineRow {
  /** Those of its description. */
  readonly names: readonly string[];
  readonly load: () => Promise<DescribedEngine>;
}

/** `auto` asks them in this order. */
export const rows: readonly EngineRow[] = [
  {
    names: ["cpu"],
    load: async () => {
      const { description } = await import("@zerogate/engine-cpu");
      return { description, module: () => workerModule(import.meta.resolve("@zerogate/engine-cpu")) };
    },
  },
  {
    names: ["wasm"],
    load: async () => {
      const { description } = await import("@zerogate/engine-cpu/wasm");
      return { description, module: () => workerModule(import.meta.resolve("@zerogate/engine-cpu/wasm")) };
    },
  },
  {
    names: ["cuda"],
    load: async () => {
      const { description } = await import("@zerogate/engine-cuda/description");
      return { description, module: () => workerModule(import.meta.resolve("@zerogate/engine-cuda")) };
    },
  },
  {
    names: ["tfjs:node-gpu", "tfjs:node", "tfjs:wasm", "tfjs:webgpu", "tfjs:cpu"],
    load: async () => {
      const { description } = await import("@zerogate/engine-tfjs/description");
      return { description, module: () => workerModule(import.meta.resolve("@zerogate/engine-tfjs")) };
    },
  },
  {
    names: ["reference"],
    load: async () => {
      const { referenceDescription: description, referenceEngine } = await import("@zerogate/workers");
      return { description, module: () => referenceEngine().module };
    },
  },
];

/** Names of our engines, and `auto`. */
export const engineNames: readonly string[] = ["auto", ...rows.flatMap(({ names }) => names)];

/** Whether a config's `engine` is the path of a module. */
export function isEnginePath(engine: string): boolean {
  return /^\.{0,2}[/\\]|^[a-z]:[/\\]|\.[cm]?js$/i.test(engine);
}
