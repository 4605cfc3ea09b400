import { openDevices } from "../dist/index.js";
import { tinySetup } from "./zz_tiny.mjs";
const setup = tinySetup();
const count = {};
for (let r = 0; r < +process.env.R; r++) {
  const res = await openDevices({ workers: +process.env.W, setup: { ...setup, engine: { module: process.env.M } }, maxCells: 8 }).then(() => "ok", (e) => e.message.slice(0, 60));
  count[res] = (count[res] ?? 0) + 1;
}
console.log(count);
