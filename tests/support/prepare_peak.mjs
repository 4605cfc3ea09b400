/**
 * Tokenises a file in a process of its own, so that what it takes can be bounded: `node prepare_peak.mjs BASE FILE CACHE MEGABYTES`
 * prints the records, the largest resident memory in bytes and the seconds, as one JSON object.
 */
import { loadTemplate, loadTokenizer, prepareTokens } from "@zerogate/data";

const [base, paths, cacheDir, megabytes] = process.argv.slice(2);
const begin = performance.now();
const { stats, tokens } = await prepareTokens({
  paths,
  tokenizer: await loadTokenizer(base),
  template: await loadTemplate("plain"),
  rule: "response",
  maxLength: 128,
  cacheDir,
  memoryBytes: 1e6 * Number(megabytes),
  threads: 2,
});
const seconds = (performance.now() - begin) / 1000;
const peakBytes = 1024 * process.resourceUsage().maxRSS;
process.stdout.write(
  `${JSON.stringify({ records: stats.samples, isOnDisk: !("ids" in tokens), peakBytes, seconds })}\n`,
);
