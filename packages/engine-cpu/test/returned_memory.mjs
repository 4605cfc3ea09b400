// Large arrays come and go beside small ones that stay; prints how many MiB the process then holds more than before.
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { steadyMemory } from "../dist/index.js";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");
/** Arrays are freed by a thread of V8 after a collection. */
async function collect() {
  gc();
  await sleep(300);
}
if (process.argv[2] === "steady" && !steadyMemory()) throw new Error("this C library cannot");
const passing = [new ArrayBuffer(1 << 20)];
passing.length = 0;
await collect(); // the first large array is freed: from now on glibc would keep others of its size in its heap
const before = process.memoryUsage.rss();
const staying = [];
for (let i = 0; i < 200; i++) {
  passing.push(new Uint8Array(1 << 20).fill(1));
  staying.push(new ArrayBuffer(4096));
}
passing.length = 0;
await collect();
console.log(Math.round((process.memoryUsage.rss() - before) / 2 ** 20), staying.length);
