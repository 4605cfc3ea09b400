/** An engine that computes as the reference does, and stops or ends its thread when a file says so. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const core = new URL("../../core/dist/index.js", import.meta.url).href;

/** Trouble that a test makes. */
export interface Trouble {
  /** The engine, as a path. */
  readonly engine: string;
  /** Ends the thread of the worker that computes next. */
  kill(): void;
  /** Lets every worker stop at its next operation, until `go`. */
  hold(): void;
  go(): void;
  /** Lets workers that are started wait until `go`. */
  holdStarts(): void;
}

/** Writes the engine into a folder. */
export function openTrouble(folder: string): Trouble {
  const file = (name: string) => join(folder, name);
  const paths = JSON.stringify({ kill: file("kill"), hold: file("hold"), start: file("start") });
  writeFileSync(
    file("troubled.mjs"),
    `import { existsSync, rmSync } from "node:fs";
import { createReferenceEngine } from ${JSON.stringify(core)};
const { kill, hold, start } = ${paths};
const traits = { computes: ["f32"], storages: ["as-is"], weightDtypes: ["f32"], keepsRowBits: true };
export const description = { names: ["troubled"], devices: () => [], traits: () => traits, setup: () => ({ options: {} }) };
const wait = (path) => {
  while (existsSync(path)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
};
export function createEngine() {
  wait(start);
  const engine = createReferenceEngine();
  return {
    ...engine,
    linear(...args) {
      wait(hold);
      if (existsSync(kill)) {
        rmSync(kill, { force: true });
        process.exit(7);
      }
      return engine.linear(...args);
    },
  };
}
`,
  );
  return {
    engine: file("troubled.mjs"),
    kill: () => writeFileSync(file("kill"), ""),
    hold: () => writeFileSync(file("hold"), ""),
    holdStarts: () => writeFileSync(file("start"), ""),
    go() {
      for (const name of ["hold", "start"]) if (existsSync(file(name))) rmSync(file(name));
    },
  };
}
