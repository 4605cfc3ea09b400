// Takes the lock of a run again and again; while it holds it, nobody else may be in. Prints how often it won.
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lockRun } from "../dist/lock/lock.js";

const [run, rounds, everyMs, deadAfterMs] = process.argv.slice(2);
const times = everyMs && { everyMs: Number(everyMs), deadAfterMs: Number(deadAfterMs) };
let wins = 0;
for (let round = 0; round < Number(rounds); round++) {
  const lock = await lockRun(run, () => {}, times).catch((error) => {
    if (error.name !== "InputError") throw error;
  });
  if (!lock) {
    await sleep(Math.random() * 4);
    continue;
  }
  mkdirSync(join(run, "inside")); // fails if somebody is
  await sleep(1);
  rmdirSync(join(run, "inside"));
  wins++;
  await lock.release();
}
console.log(wins);
