/** Runs of one test file that are disturbed, and what they end with. */
import { join } from "node:path";
import { type Call, type Outcome, testFolder, zerogate } from "./cli.ts";
import { zerogateHere } from "./here.ts";
import { adapterHash, stepLosses, tinyRun, trainWords, validationLosses } from "./world.ts";

export const folder: string = testFolder();
export const flags: readonly string[] = tinyRun(folder);
export const run = (out: string): string => join(folder, out);
const words = (out: string, workers: number, more: string[] = []) => trainWords(flags, out, workers, more);
export const train = (out: string, workers: number, more: string[] = []): Promise<Outcome> =>
  zerogateHere(words(out, workers, more), { cwd: folder });
/** Asked to end by Ctrl-C, in this process. */
export const interrupt = (out: string, workers: number, call: Pick<Call, "env" | "onLine">): Promise<Outcome> =>
  zerogateHere(words(out, workers), { cwd: folder, ...call });
/** In a process of its own, which is disturbed. */
export const disturb = (out: string, workers: number, call: Partial<Call>, more: string[] = []): Promise<Outcome> =>
  zerogate(words(out, workers, more), { cwd: folder, ...call });
export const resume = (out: string, workers = 2): Promise<Outcome> =>
  zerogateHere(["resume", out, "--workers", String(workers), "--json"], { cwd: folder });

/** Sends `signal` as soon as a line matches. */
export const on = (pattern: RegExp, signal: "SIGINT" | "SIGKILL"): Pick<Call, "onLine"> => {
  let isSent = false;
  return {
    onLine(line, send) {
      if (isSent || !pattern.test(line)) return;
      isSent = true;
      send(signal);
    },
  };
};

/** Adapter, losses and validations of a run. */
export interface Trained {
  readonly adapter: string;
  readonly steps: [step: number, loss: number][];
  readonly validations: [step: number, loss: number][];
}

export const outcome = (out: string): Trained => ({
  adapter: adapterHash(run(out)),
  steps: stepLosses(run(out)),
  validations: validationLosses(run(out)),
});
