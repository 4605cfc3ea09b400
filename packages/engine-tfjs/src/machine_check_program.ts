/** Program of a process that tries one TensorFlow.js backend for machine_checks.ts. Argument: the backend. */
import { writeSync } from "node:fs";
import { InputError } from "@zerogate/core";
import { wrongProduct } from "@zerogate/core/engine";
import { createEngine } from "./engine.ts";
import type { TfjsBackend } from "./names.ts";

/** The last line that it prints, in JSON. */
export type TfjsAnswer = { readonly name: string } | { readonly absent: string } | { readonly failed: string };

async function answer(backend: TfjsBackend): Promise<TfjsAnswer> {
  try {
    const engine = await createEngine({ backend });
    const wrong = await wrongProduct(engine);
    return wrong === undefined ? { name: engine.name } : { failed: wrong };
  } catch (error) {
    if (error instanceof InputError) return { absent: error.problems.join("; ") };
    return { failed: (error as Error).message };
  }
}

writeSync(1, `\n${JSON.stringify(await answer(process.argv[2] as TfjsBackend))}\n`);
process.exit(0); // a WebGPU device keeps the process
