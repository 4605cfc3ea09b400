/**
 * What may lie in a run directory: files and folders of its own. One from elsewhere, an archive or a shared disk, may hold
 * links, and a run that follows them overwrites or removes files that are not its own. The directory itself may be a link.
 */
import { type Dirent, lstatSync } from "node:fs";
import { readdir, readlink, realpath } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { InputError } from "@zerogate/core";

/** Names at the top of a run that are written or removed by it; no link may stand for them, wherever it leads. */
const ownName =
  /^(config\.json|accepted\.json|metrics\.jsonl|receipt\.jsonl|log\.jsonl|report\.html|checkpoints|adapter|rewound|lock-.*|events\..*|\..*\.tmp)$/;
/** Those that are written to in place: another name of the same file would change with them. */
const grownName = /^(metrics\.jsonl|receipt\.jsonl|log\.jsonl|lock-\d+\.beat)$/;
const MAX_TOLD = 5;

/** @throws InputError that names what leads out of `runDir`, or is neither file nor folder; nothing is written. */
export async function checkOwnNames(runDir: string): Promise<void> {
  const entries = await readdir(runDir, { recursive: true, withFileTypes: true }).catch(() => []);
  if (entries.length === 0) return;
  const root = await realpath(runDir);
  const problems: string[] = [];
  for (const entry of entries) {
    const name = relative(runDir, join(entry.parentPath, entry.name)).split(sep).join("/");
    const problem = await problemOf(entry, name, root);
    if (problem !== undefined) problems.push(problem);
  }
  if (problems.length === 0) return;
  const more = problems.length > MAX_TOLD ? [`and ${problems.length - MAX_TOLD} more`] : [];
  const advice = "a run directory holds files and folders of its own only: remove these, or put copies in their place";
  throw new InputError(`Cannot use the run directory ${runDir}`, [...problems.slice(0, MAX_TOLD), ...more, advice]);
}

async function problemOf(entry: Dirent, name: string, root: string): Promise<string | undefined> {
  const path = join(entry.parentPath, entry.name);
  const [top = ""] = name.split("/");
  if (entry.isDirectory()) return undefined;
  if (entry.isFile()) {
    return grownName.test(name) && lstatSync(path).nlink > 1
      ? `${name} has another name elsewhere (hard link)`
      : undefined;
  }
  if (!entry.isSymbolicLink()) return `${name} is neither a file nor a folder`;
  const target = await readlink(path);
  const leadsTo = await realpath(path).catch(() => undefined);
  if (leadsTo === undefined) return `${name} is a link to ${target}, which leads nowhere`;
  if (leadsTo !== root && !leadsTo.startsWith(`${root}${sep}`)) return `${name} is a link that leads out, to ${target}`;
  return ownName.test(top) ? `${name} is a link, to ${target}` : undefined;
}
