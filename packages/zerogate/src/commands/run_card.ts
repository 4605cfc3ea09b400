/** What the card of a pushed adapter says of its run: losses, the line that repeats it, the receipt. */
import { basename } from "node:path";
import { configKeys, defaultOf, flagName, safeToChange } from "@zerogate/run-config";
import { loadReceipt, readMetrics } from "@zerogate/run-files";
import { formatLoss, readStoredConfig } from "@zerogate/trainer/command";

/** Markdown for the end of a card. */
export async function runSection(run: string): Promise<string> {
  const { evaluations } = readMetrics(run);
  const { lines } = loadReceipt(run);
  const [start, last] = [lines[0], lines.at(-1)];
  const config = await readStoredConfig(run);
  const losses = evaluations.map(({ step, loss }) => `| ${step} | ${formatLoss(loss)} |`);
  const table = losses.length === 0 ? [] : ["| step | held-out loss, nats a token |", "|---|---|", ...losses, ""];
  const words = configKeys.flatMap((key) => {
    const value = config[key];
    if (safeToChange.includes(key) || value === undefined || value === defaultOf(key)) return [];
    return typeof value === "boolean"
      ? [value ? flagName(key) : flagName(key).replace("--", "--no-")]
      : [flagName(key), typeof value === "object" ? JSON.stringify(value) : basename(String(value))];
  });
  const proof =
    start?.event === "start"
      ? [
          `Receipt of ${lines.length} lines, its last link \`${last?.chain}\`. SHA-256 of the base \`${start.hashes.base}\`, of the data`,
          `\`${start.hashes.data}\`; zerogate ${start.zerogate}, engine ${start.engine}.`,
        ]
      : [];
  return [
    "",
    "## Training",
    "",
    ...table,
    "```sh",
    `zerogate train --model BASE --data DATA --out RUN ${words.join(" ")}`.trimEnd(),
    "```",
    "",
    ...proof,
    "",
  ].join("\n");
}
