/** A checkpoint's manifest: a folder counts as whole only under the files, sizes and hashes that it was published with. */
import { deepStrictEqual } from "node:assert";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { publishDirectory, verifyDirectory } from "@zerogate/core/node";
import { scratchFolder } from "../corpus.mjs";

const folder = scratchFolder();
export const close = folder.remove;
const published = join(folder.path, "step-1");
await publishDirectory(published, async (inside) => {
  writeFileSync(join(inside, "adapter_model.safetensors"), "numbers");
  writeFileSync(join(inside, "state.msgpack"), "");
});
const path = join(published, "manifest.json");
const original = new Uint8Array(readFileSync(path));

export const corpus = () => [original];

export async function check(bytes) {
  writeFileSync(path, bytes);
  const problems = await verifyDirectory(published);
  if (problems.length > 0) throw new InputError("Cannot use the checkpoint", problems);
  deepStrictEqual(new Uint8Array(bytes), original);
}
