/** `zerogate data check`: what data files hold, before a run is started. Nothing is written but the page that is asked for. */
import { isAbsolute, relative } from "node:path";
import { readModelConfig, writeFileAtomic } from "@zerogate/core/node";
import { checkData, isChat, loadTemplate, loadTokenizer, type TokenRequest } from "@zerogate/data";
import { type ConfigKey, dataPaths, type TrainConfig } from "@zerogate/run-config";
import { checkLinks, lengthFor } from "@zerogate/trainer/command";
import { configFlags } from "../cli/config_flags.ts";
import { isSound } from "../report/data_check_findings.ts";
import { dataCheckPage } from "../report/data_check_page.ts";
import { openStatus } from "../status/display.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { describeDataCheck } from "./data_check_text.ts";
import { resolveNamed } from "./hub_names.ts";

type DataKey =
  | ("model" | "tokenizer" | "links" | "validationData" | "fields" | "template" | "turns" | "bos" | "labels")
  | ("maxLength" | "maxDropped" | "scienceFormat" | "captions");

/** Keys of a run config, as their flags have them, and the command's own. */
export interface DataCheckFlags extends Partial<Record<DataKey & ConfigKey, unknown>> {
  readonly html?: string;
  readonly download?: boolean;
  readonly json?: boolean;
}

export async function dataCheckCommand(
  paths: readonly string[],
  flags: DataCheckFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const { html, download, json = false, ...keys } = flags;
  const status = openStatus(context.stderr, context.env);
  try {
    // A config needs a base and a place for the run; without a base nothing reads it.
    const given = { model: ".", ...configFlags(keys), data: paths, out: "." };
    const config = await resolveNamed({ flags: given }, download, context);
    const check = await checkData({
      paths: dataPaths(config.data).map(fromHere),
      validationPaths: config.validationData?.map(fromHere),
      fields: config.fields,
      scienceFormat: config.scienceFormat,
      captions: config.captions,
      tokens: keys.model === undefined ? undefined : await tokensOf(config, keys, status.log),
      onProgress: (set, records) => status.phase({ name: `reading ${set}`, done: records }),
      signal: context.signal,
    });
    status.stop();
    if (html !== undefined) await writeFileAtomic(html, dataCheckPage(check));
    if (json) printJson(context, { ok: isSound(check), ...check });
    else context.stdout.write(describeDataCheck(check));
    return isSound(check) ? 0 : 1;
  } finally {
    status.stop();
  }
}

/** Names a path below this folder without it: places of records are read by people. */
function fromHere(path: string): string {
  const below = relative(".", path);
  return below.startsWith("..") || isAbsolute(below) ? path : below;
}

/** What counts tokens as a run with this config would. */
async function tokensOf(
  config: TrainConfig,
  { template }: Pick<DataCheckFlags, "template">,
  onWarning: (message: string) => void,
): Promise<TokenRequest> {
  const { model: folder, tokenizer: named, links, turns, bos, labels } = config;
  await checkLinks({ links }, [folder, named === "model" ? undefined : named]);
  const model = await readModelConfig(folder, { onWarning });
  const tokenizer = await loadTokenizer(named === "model" ? folder : named, model);
  const maxLength = lengthFor(config.maxLength, model);
  return {
    tokenizer,
    maxDropped: config.maxDropped,
    formatOf: async (first) => {
      const name = template === undefined && first.some(isChat) ? "chat" : config.template;
      return { template: await loadTemplate(name, tokenizer, turns), bos, rule: labels, maxLength };
    },
  };
}
