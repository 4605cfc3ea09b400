/**
 * Calls every function of a binary with right, wrong and absurd arguments: `node test/fuzz_addon.mjs BINARY`. Run under
 * sanitizers by scripts/sanitize.mjs; whatever is not an ordinary exception ends the process.
 */
import { createRequire } from "node:module";

const addon = createRequire(import.meta.url)(process.argv[2]);
let state = 1;
const random = (n) => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) % n;
const levels = addon.levels().filter(({ runs }) => runs);
const engines = levels.flatMap(({ name }) => [1, 3].map((threads) => addon.open(name, threads, false)));
const absurd = [undefined, null, -1, 3.5, Number.NaN, 1e300, 2 ** 40, true, "x", {}, [], Symbol("s"), engines[0]];
const arrays = [new Float32Array(4), new Int32Array([0, 2]), new Uint8Array(24), new Float64Array(2)];
const names = Object.keys(addon).filter((name) => name !== "open" && name !== "release");
const live = engines.map(() => []);
let [ran, thrown] = [0, 0];

for (let i = 0; i < 150_000; i++) {
  const at = random(engines.length);
  const [engine, own] = [engines[at], live[at]];
  if (random(5) === 0) {
    own.push(addon.take(engine, random(40)));
    if (own.length > 60) addon.release(engine, own.splice(random(own.length), 1)[0]);
    if (random(40) === 0) addon.endArena(engine);
    continue;
  }
  const argument = () => {
    const kind = random(5);
    if (kind === 0) return own[random(own.length + 1)];
    if (kind < 3) return random(6);
    return kind === 3 ? arrays[random(arrays.length)] : absurd[random(absurd.length)];
  };
  try {
    const first = random(30) === 0 ? argument() : engine;
    addon[names[random(names.length)]](first, ...Array.from({ length: random(16) }, argument));
    ran++;
  } catch {
    thrown++;
  }
}

for (const engine of engines) {
  for (let i = 0; i < 200; i++) {
    const [T, N, K] = [random(9), 1 + random(60), 1 + random(60)];
    const int8 = random(2) === 0;
    const weight = [new Uint8Array(int8 ? N * (4 + K) : 2 * N * K).fill(60), int8 ? 3 : 1, N, K];
    const [x, y] = [addon.take(engine, T * K), addon.take(engine, T * N)];
    addon.write(engine, new Float32Array(T * K).fill(1), x);
    addon.linear(engine, T, 0, N, ...weight, y, x, undefined, ...Array(4), random(3));
    addon.linearBackward(engine, T, 0, N, ...weight, x, y);
    addon.release(engine, x);
    addon.release(engine, y);
    addon.endArena(engine);
  }
}
/** An argument as a field of the binary's table asks for; weights are four. Arrays end where their length says, so a byte beyond is found. */
function fitting(engine, field, sizes) {
  const [kind, name, shape, below] = field.split(", ").map((part) => part.replaceAll(/["']/g, ""));
  const length = (letters) => [...letters].reduce((product, letter) => product * (sizes[letter] ?? Number(letter)), 1);
  if (kind === "SIZE") return [(sizes[name] = 1 + random(40))];
  if (kind === "NUMBER") return [1e-5];
  if (kind === "VECTOR") return [new Uint8Array(2 * sizes[shape]), 1, sizes[shape], 1];
  if (kind === "ROWS")
    return [Int32Array.from({ length: (sizes[shape] ??= Math.min(sizes[below], 5)) }, (_, i) => i % sizes[below])];
  if (kind === "COUNT") return [];
  return [kind === "MAYBE" && random(2) === 0 ? undefined : addon.take(engine, length(shape))];
}
for (const engine of engines) {
  for (const [name, fields] of addon.operations()) {
    for (let i = 0; i < 50; i++) {
      const sizes = {};
      const args = fields
        .split("; ")
        .filter(Boolean)
        .flatMap((field) => fitting(engine, field, sizes));
      addon[name](engine, ...args);
    }
  }
  addon.endArena(engine);
}
process.stdout.write(`${ran} calls ran, ${thrown} were refused\n`);
