/** Program of a process that tries one GPU for machine_checks.ts. Argument: its number. Its last line is the answer in JSON. */
import { writeSync } from "node:fs";
import { testGpu } from "./self_test.ts";

async function answer(): Promise<{ ok: boolean; text: string }> {
  try {
    const { ok, largestError, tflops } = await testGpu(Number(process.argv[2]));
    const text = `largest error ${largestError.toExponential(1)}, products at ${tflops.toPrecision(2)} TFLOP/s`;
    return { ok, text: ok ? `works, ${text}` : `wrong results, ${text}` };
  } catch (error) {
    return { ok: false, text: (error as Error).message };
  }
}

writeSync(1, `\n${JSON.stringify(await answer())}\n`);
