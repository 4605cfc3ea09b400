/** `zerogate inspect PATH`: says what a folder or file is and what is in it. Nothing is written. */
import { stat } from "node:fs/promises";
import { InputError } from "@zerogate/core";
import { deadLink, isCode, isGgufFile, notRegular, reason } from "@zerogate/core/node";
import { hubPlace } from "@zerogate/run-config";
import { checkLinks } from "@zerogate/trainer/command";
import { type CommandContext, type ExitCode, printJson } from "../context.ts";
import { inspectData } from "./data_files.ts";
import { describeFacts, describeRows, type Facts } from "./facts.ts";
import { inspectFile } from "./files.ts";
import { inspectFolder } from "./folders.ts";
import { inspectModel } from "./model_folder.ts";
import { inspectRemote } from "./remote.ts";
import type { RunFacts } from "./run.ts";
import { isRunFacts, runRows } from "./run_text.ts";
import { describeSamples, type SampleFlags, sampleRecords } from "./samples.ts";

export interface InspectFlags extends SampleFlags {
  readonly json?: boolean;
  readonly links?: boolean;
}

export async function inspectCommand(
  path: string,
  { json = false, links, ...flags }: InspectFlags,
  context: CommandContext,
): Promise<ExitCode> {
  if (flags.sample !== undefined) {
    const samples = await sampleRecords(path, flags);
    if (json) printJson(context, { kind: "samples", path, samples: samples.map((sample) => sample ?? null) });
    else context.stdout.write(describeSamples(samples));
    return 0;
  }
  const place = hubPlace(path);
  const onNote = (note: string) => context.stderr.write(`${note}\n`);
  const isRemote = place !== undefined && "missing" in place;
  const here = place !== undefined && "path" in place ? place.path : path;
  const facts = isRemote ? await inspectRemote(place.missing, context) : await inspect(here, links, onNote);
  if (json) printJson(context, facts);
  else context.stdout.write(isRunFacts(facts) ? describeRows(runRows(facts)) : describeFacts(facts));
  return 0;
}

/** @throws InputError if nothing can be read at `path`, or it is a folder of no kind that zerogate knows. */
async function inspect(
  path: string,
  links: boolean | undefined,
  onNote: (note: string) => void,
): Promise<Facts | RunFacts> {
  const attempt = `Cannot inspect ${path}`;
  const found = await stat(path).catch(async (cause: unknown) => {
    if (isCode(cause, "ENOENT") && (await isSplit(path))) return undefined;
    const dead = isCode(cause, "ENOENT") ? await deadLink(path) : undefined;
    const problem = dead ? `${dead.link} is a link to ${dead.target}, which is not there` : reason(cause);
    throw new InputError(attempt, problem, { cause });
  });
  if (found === undefined) return await inspectData(path);
  if (found.isFile()) return await inspectOne(path);
  if (!found.isDirectory()) throw new InputError(attempt, notRegular(found) ?? []);
  await checkLinks({ links }, [path]);
  return await inspectFolder(path, onNote);
}

/** A file that is a whole base is described as a folder of one is. */
async function inspectOne(path: string): Promise<Facts> {
  const facts = await inspectFile(path);
  return facts.kind === "gguf" && (await isGgufFile(path)) ? await inspectModel(path) : facts;
}

/** Whether it is `FOLDER#SPLIT` of a folder that is there. */
async function isSplit(path: string): Promise<boolean> {
  const folder = /^(.+)#\w+$/.exec(path)?.[1];
  if (folder === undefined) return false;
  const found = await stat(folder).catch(() => undefined);
  return found?.isDirectory() ?? false;
}
