/** A config file that is accepted has plain values and known keys only. */
import { ok } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readConfigFile } from "../../../packages/run-config/dist/config/config_file.js";
import { configKeys } from "../../../packages/run-config/dist/config/fields.js";
import { resolveConfig } from "../../../packages/run-config/dist/config/resolve.js";
import { synonymOf } from "../../../packages/run-config/dist/config/synonyms.js";
import { filesOf, scratchFolder } from "../corpus.mjs";

const folder = scratchFolder();
export const close = folder.remove;
const path = join(folder.path, "run.yaml");
const known = new Set(configKeys);
const isTaken = (key) => "key" in (synonymOf(key, configKeys, (name) => name) ?? {});

export const corpus = () => filesOf("tests/fuzz/corpus/run_config");
/** A page of the corpus may be short of keys that a run needs. */
export const mayRefuse = true;

export function check(bytes) {
  writeFileSync(path, bytes);
  const { values } = readConfigFile(path);
  const config = resolveConfig({ file: path, flags: { model: "m", data: ["d"], out: "o" } });
  // Keys of other programs are taken under our names, the version that wrote a stored config is not a key.
  for (const key of Object.keys(config)) ok(known.has(key), `it has the key ${key}`);
  for (const key of values.keys()) ok(key === "zerogate" || isTaken(key), `${key} is taken`);
  for (const [key, value] of Object.entries(config)) {
    ok(typeof value !== "number" || Number.isFinite(value), `${key} is ${value}`);
  }
  ok(Object.getPrototypeOf(config) === Object.prototype);
}
