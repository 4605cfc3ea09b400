/**
 * A reader in a process of its own, so that what it takes can be bounded: `node read_folder.mjs BASE` reads one JSON object
 * `{reader, path}` a line from stdin and answers each with what was thrown, the time and the process's largest memory so far.
 */
import { createInterface } from "node:readline";
import {
  loadAdapter,
  loadWeights,
  readAdapter,
  readAdapterFile,
  readModelConfig,
  refuseOutsideLinks,
} from "@zerogate/core/node";
import { loadTokenizer } from "@zerogate/data";

const base = await readModelConfig(process.argv[2]);
/** As `--no-links` reads what a stranger packed. */
const unlinked = (read) => async (path) => {
  await refuseOutsideLinks(path);
  return read(path);
};
const readers = {
  adapter: unlinked(async (path) => void (await Promise.all([readAdapter(path), loadAdapter(path, base)]))),
  followed: async (path) => void (await Promise.all([readAdapter(path), loadAdapter(path, base)])),
  file: (path) => readAdapterFile(path),
  model: unlinked(async (path) => loadWeights(path, await readModelConfig(path), { weightDtypes: ["f32", "bf16"] })),
  tokenizer: unlinked(async (path) => void (await loadTokenizer(path)).encode("a".repeat(1000))),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { reader, path } = JSON.parse(line);
  const begin = performance.now();
  const error = await readers[reader](path).then(
    () => undefined,
    (thrown) => thrown,
  );
  const answer = { name: error?.name ?? "accepted", message: error?.message ?? "", ms: performance.now() - begin };
  process.stdout.write(`${JSON.stringify({ ...answer, peakMiB: process.resourceUsage().maxRSS / 1024 })}\n`);
}
