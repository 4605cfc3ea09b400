/**
 * `zerogate quickstart`: trains an adapter on the base and instructions that ship with this package, shows base and adapter
 * side by side, and says what to type next. Needs no download.
 */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ownCommand, resolveConfig } from "@zerogate/run-config";
import type { RunResult } from "@zerogate/trainer";
import { checkDecoder } from "@zerogate/vision";
import { configFlags } from "../cli/config_flags.ts";
import { writePictureSet } from "../pictures/picture_set.ts";
import type { CommandContext, ExitCode } from "./context.ts";
import { printOutcome } from "./outcome.ts";
import { trainShown } from "./train.ts";

export interface QuickstartFlags {
  readonly out?: string;
  readonly json?: boolean;
  /** Teaches the base to see, instead of to follow instructions. */
  readonly pictures?: boolean;
  readonly [key: string]: unknown;
}

/** The base model and instructions that come with the trainer, see its world/README.md. */
const world = dirname(fileURLToPath(import.meta.resolve("@zerogate/trainer/world/README.md")));

export async function quickstartCommand(flags: QuickstartFlags, context: CommandContext): Promise<ExitCode> {
  const { json = false } = flags;
  const model = join(world, "base");
  const out = resolve(flags.out ?? freeFolder());
  const isRunThere = existsSync(out); // refused below, before anything is drawn
  const pictures = flags.pictures && !isRunThere ? await drawPictures(`${out}-pictures`, context) : {};
  const config = resolveConfig({
    file: join(world, flags.pictures ? "pictures.yaml" : "quickstart.yaml"),
    flags: { ...configFlags(flags), model, out, ...pictures },
  });
  return await trainShown(config, json, context, (result) => {
    const isDone = result.ending !== "interrupted";
    if (!json && isDone) context.stdout.write(`${showSamples(result)}\n`);
    printOutcome(config.out, result, json, context);
    if (!json && isDone) context.stdout.write(nextSteps(model, config.out, result));
  });
}

/** Pictures to learn from, and to be asked about. */
const PICTURES = { train: 1000, test: 200 };

/** Draws both sets beside the run. Returns where their records are. @throws InputError if images cannot be read here */
async function drawPictures(
  folder: string,
  { stderr }: CommandContext,
): Promise<{ data: string; validationData: string }> {
  await checkDecoder();
  stderr.write(`drawing ${PICTURES.train + PICTURES.test} pictures in ${folder}\n`);
  await writePictureSet(folder, "train", { count: PICTURES.train, seed: 1 });
  await writePictureSet(folder, "test", { count: PICTURES.test, seed: 2 });
  return { data: join(folder, "train.json"), validationData: join(folder, "test.json") };
}

/** `quickstart`, or the next name that is free: a second try must not meet an error. */
function freeFolder(): string {
  let name = "quickstart";
  for (let i = 2; existsSync(name); i++) name = `quickstart-${i}`;
  return name;
}

function showSamples({ samples }: RunResult): string {
  const rows = samples.map(({ prompt, expected = "", base, adapter, images = [] }) => {
    const answers = Object.entries({ expected, base, adapter });
    const title = [...images.map(({ path }) => path), prompt].join("  ");
    return [oneLine(title), ...answers.map(([name, text]) => `  ${name.padEnd(10)}${oneLine(text)}`), ""].join("\n");
  });
  return rows.join("\n");
}

/** Short enough for a row; a text that is empty is said to be. */
const oneLine = (text: string) => {
  const line = text.replace(/\s+/g, " ") || "(nothing)";
  return line.length > 70 ? `${line.slice(0, 69)}…` : line;
};

function nextSteps(model: string, out: string, { samples }: RunResult): string {
  const adapter = join(out, "adapter");
  const [image] = samples[0]?.images ?? [];
  const line = image
    ? ownCommand`generate --model ${model} --adapter ${adapter} --image ${join(image.root, image.path)} --instruction ${samples[0]?.prompt ?? ""}`
    : ownCommand`chat --model ${model} --adapter ${adapter}`;
  return `\nOpen the report in a browser, or talk to the adapter:\n  ${line}\n`;
}
