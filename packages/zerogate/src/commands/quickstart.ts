/**
 * `zerogate quickstart`: trains an adapter on the base and instructions that ship with this package, shows base and adapter
 * side by side, and says what to type next. Needs no download.
 */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ownCommand, resolveConfig } from "@zerogate/run-config";
import type { RunResult } from "@zerogate/trainer";
import { configFlags } from "../cli/config_flags.ts";
import type { CommandContext, ExitCode } from "./context.ts";
import { printOutcome } from "./outcome.ts";
import { trainShown } from "./train.ts";

export interface QuickstartFlags {
  readonly out?: string;
  readonly json?: boolean;
  readonly [key: string]: unknown;
}

/** The base model and instructions that come with the trainer, see its world/README.md. */
const world = dirname(fileURLToPath(import.meta.resolve("@zerogate/trainer/world/README.md")));

export async function quickstartCommand(flags: QuickstartFlags, context: CommandContext): Promise<ExitCode> {
  const { json = false } = flags;
  const model = join(world, "base");
  const config = resolveConfig({
    file: join(world, "quickstart.yaml"),
    flags: { ...configFlags(flags), model, out: resolve(flags.out ?? freeFolder()) },
  });
  return await trainShown(config, json, context, (result) => {
    const isDone = result.ending !== "interrupted";
    if (!json && isDone) context.stdout.write(`${showSamples(result)}\n`);
    printOutcome(config.out, result, json, context);
    if (!json && isDone) context.stdout.write(nextSteps(model, config.out));
  });
}

/** `quickstart`, or the next name that is free: a second try must not meet an error. */
function freeFolder(): string {
  let name = "quickstart";
  for (let i = 2; existsSync(name); i++) name = `quickstart-${i}`;
  return name;
}

function showSamples({ samples }: RunResult): string {
  const rows = samples.map(({ prompt, expected = "", base, adapter }) => {
    const answers = Object.entries({ expected, base, adapter });
    return [oneLine(prompt), ...answers.map(([name, text]) => `  ${name.padEnd(10)}${oneLine(text)}`), ""].join("\n");
  });
  return rows.join("\n");
}

/** Short enough for a row; a text that is empty is said to be. */
const oneLine = (text: string) => {
  const line = text.replace(/\s+/g, " ") || "(nothing)";
  return line.length > 70 ? `${line.slice(0, 69)}…` : line;
};

function nextSteps(model: string, out: string): string {
  const line = ownCommand`chat --model ${model} --adapter ${join(out, "adapter")}`;
  return `\nOpen the report in a browser, or talk to the adapter:\n  ${line}\n`;
}
