/** Chooses the files of a run or an adapter folder that go to the Hub: those of a list, without paths of this machine. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { AdaptionPromptConfig } from "@zerogate/core";
import { isHubId } from "@zerogate/core/formats";
import { adapterFiles, readAdapter, readRegularFile } from "@zerogate/core/node";
import type { PushedFile } from "@zerogate/hub";
import { hubNameOf } from "@zerogate/run-config";
import { adapterFolder } from "@zerogate/trainer/command";
import { runSection } from "./run_card.ts";

/** Files with numbers are those of the folder, byte for byte; the others are written anew for the Hub. */
const numbers = ["adapter_model.safetensors", "vision.safetensors"];

/**
 * Reads an adapter that can be used, and returns the files to push.
 * @param base its base's name on the Hub; else the one that it names.
 * @throws InputError for what is no adapter, or damaged.
 */
export async function pushedFiles(
  source: string,
  base: string | undefined,
  onNote: (note: string) => void,
): Promise<readonly PushedFile[]> {
  const folder = await adapterFolder(source, onNote);
  const stored = await readAdapter(folder);
  for (const warning of stored.warnings) onNote(warning);
  const config = { ...stored.config, ...publicBase(stored.config, base, onNote) };
  const seen = stored.seen && { seen: publicTower(stored.seen) };
  const written = adapterFiles({ ...stored, config, ...seen, ...(await originOf(folder)) });
  const section = existsSync(join(source, "receipt.jsonl")) ? await runSection(source) : "";
  const files: PushedFile[] = [];
  for (const [path, made] of written) {
    const content = numbers.includes(path) ? await readRegularFile(join(folder, path)) : Buffer.from(made);
    files.push({ path, content: path === "README.md" ? Buffer.from(`${content.toString()}${section}`) : content });
  }
  return files;
}

/** Which state of a run it is, as its card says. */
async function originOf(folder: string): Promise<{ origin?: string }> {
  const card = await readRegularFile(join(folder, "README.md"), 1_000_000).then(String, () => "");
  const origin = /^Taken from (.+)\.$/m.exec(card)?.[1];
  return origin === undefined ? {} : { origin };
}

/** A folder of this machine says nothing to others, and may say more than its owner wants. */
function publicBase(
  { baseModelNameOrPath: named, revision }: AdaptionPromptConfig,
  base: string | undefined,
  onNote: (note: string) => void,
): Pick<AdaptionPromptConfig, "baseModelNameOrPath" | "revision"> {
  if (base !== undefined) return { baseModelNameOrPath: base, revision: base === named ? revision : null };
  if (named === null || isHubId(named)) return { baseModelNameOrPath: named, revision };
  const found = hubNameOf(named);
  if (found !== undefined) return { baseModelNameOrPath: found.id, revision: found.commit };
  onNote(`The base is ${named}, a folder of this machine, which is left out: --base OWNER/NAME names it as on the Hub`);
  return { baseModelNameOrPath: null, revision: null };
}

type Seen = NonNullable<Parameters<typeof adapterFiles>[0]["seen"]>;

function publicTower(seen: Seen): Seen {
  const { nameOrPath, ...tower } = seen.tower;
  const name = nameOrPath === undefined || isHubId(nameOrPath) ? nameOrPath : hubNameOf(nameOrPath)?.id;
  return { ...seen, tower: { ...tower, ...(name !== undefined && { nameOrPath: name }) } };
}
