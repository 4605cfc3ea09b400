// Holds the lock of a run and writes a line a round, as a run does after each step. A line on stdin lets it go.
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lockRun } from "../dist/lock/lock.js";

const [run, name, everyMs, deadAfterMs] = process.argv.slice(2);
const asked = new AbortController();
process.stdin.once("data", () => asked.abort());
const times = { everyMs: Number(everyMs), deadAfterMs: Number(deadAfterMs) };
try {
  const lock = await lockRun(run, (sentence) => console.log(sentence), times);
  console.log("has the lock");
  while (!asked.signal.aborted) {
    await lock.check();
    appendFileSync(join(run, "lines"), `${name}\n`);
    await sleep(5);
  }
  await lock.release();
} catch (error) {
  console.log(`${error.name}: ${error.message}`);
  process.exitCode = 2;
}
process.stdin.destroy();
