/** `zerogate resume RUN`: goes on from the newest whole checkpoint, to the same bits as if it had never stopped. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { hubCommitOf } from "@zerogate/core/formats";
import { resume } from "@zerogate/trainer";
import { configFlags } from "../cli/config_flags.ts";
import type { CommandContext, ExitCode } from "./context.ts";
import { fetchMissing } from "./hub_names.ts";
import { openRunView } from "./live_view.ts";
import { exitCodeOf, printOutcome } from "./outcome.ts";
import { controlOf } from "./run_control.ts";

export interface ResumeFlags {
  readonly json?: boolean;
  readonly acceptChange?: readonly string[];
  readonly download?: boolean;
  readonly [key: string]: unknown;
}

/** Keys that name what may come from the Hub. */
const namingKeys = ["model", "tokenizer", "tower", "initAdapter"] as const;

/** What the flags name; of the run's own config the repositories whose snapshots are gone from the cache. */
async function namedIn(runDir: string, flags: ResumeFlags): Promise<(string | undefined)[]> {
  const stored: Readonly<Record<string, unknown>> | null = await readFile(join(runDir, "config.json"), "utf8")
    .then((text) => JSON.parse(text))
    .catch(() => null); // what is wrong with it is reported where it is opened
  return namingKeys.map((key) => {
    const [given, own] = [flags[key], stored?.[key]];
    if (typeof given === "string") return given;
    const found = typeof own === "string" && !existsSync(own) ? hubCommitOf(own) : undefined;
    return found && `${found.id}@${found.commit}`;
  });
}

export async function resumeCommand(runDir: string, flags: ResumeFlags, context: CommandContext): Promise<ExitCode> {
  const { json = false, acceptChange: accept = [], download } = flags;
  await fetchMissing(await namedIn(runDir, flags), download, context);
  const view = openRunView(context, json, (result) => printOutcome(resolve(runDir), result, json, context));
  return exitCodeOf(await resume(runDir, configFlags(flags), view, { ...controlOf(context), accept }));
}
