/** `zerogate adapters list DIR…`: every adapter folder in these folders and below. */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { InputError } from "@zerogate/core";
import { hashFile, readAdapter, reason } from "@zerogate/core/node";
import { checkLinks, formatCount } from "@zerogate/trainer/command";
import { sightHash } from "./adapter_sight.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { table } from "./table.ts";

export interface ListFlags {
  readonly json?: boolean;
  readonly links?: boolean;
}

/** RUN/checkpoints/step-N below a folder of runs. */
const MAX_DEPTH = 4;

export async function listCommand(
  dirs: readonly string[],
  { json = false, links }: ListFlags,
  context: CommandContext,
): Promise<ExitCode> {
  const rows: string[][] = [];
  for (const dir of dirs) {
    for await (const folder of adapterFolders(dir, MAX_DEPTH)) {
      context.signal.throwIfAborted();
      const facts = await about(folder, links);
      if (json) printJson(context, facts);
      else if ("problem" in facts) rows.push([folder, facts.problem]);
      else {
        const { adapterLayers, adapterLen, gates, parameters, base, template, hash, images } = facts;
        const shape = `${adapterLayers} × ${adapterLen}`;
        rows.push([
          folder,
          shape,
          gates,
          formatCount(parameters),
          base ?? "–",
          template ?? "–",
          images?.fusion ?? "–",
          hash.slice(0, 12),
        ]);
      }
    }
  }
  if (json) return 0;
  const head = ["adapter", "layers × prompts", "gate", "parameters", "base", "template", "images", "sha256"];
  context.stdout.write(rows.length === 0 ? "no adapters\n" : table([head, ...rows]));
  return 0;
}

/** One that cannot be read is listed with the reason. */
async function about(folder: string, links: boolean | undefined) {
  try {
    await checkLinks({ links }, [folder]);
    const stored = await readAdapter(folder);
    const { config, layout, dtype, weightsPath, promptFormat } = stored;
    const { vision } = layout.shape;
    return {
      path: folder,
      adapterLayers: config.adapterLayers,
      adapterLen: config.adapterLen,
      gates: `${layout.shape.gateSharing}${layout.shape.gateActivation === "tanh" ? " tanh" : ""}`,
      dtype,
      parameters: layout.length,
      base: config.baseModelNameOrPath,
      template: promptFormat?.template.name ?? null,
      bos: promptFormat?.bos ?? null,
      hash: await hashFile(weightsPath),
      ...(vision && { images: { fusion: vision.fusion, hash: await sightHash(folder, stored) } }),
    };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { path: folder, problem: error.problems[0] ?? error.message };
  }
}

/** Links and hidden folders are not followed. */
async function* adapterFolders(folder: string, depth: number): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new InputError(`Cannot list ${folder}`, reason(cause), { cause });
  });
  if (entries.some(({ name }) => name === "adapter_config.json")) yield folder;
  if (depth === 0) return;
  const below = entries.filter((entry) => entry.isDirectory() && !basename(entry.name).startsWith("."));
  for (const { name } of below.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    yield* adapterFolders(join(folder, name), depth - 1);
  }
}
