/** `--no-links`, for folders that a stranger packed: no link in them may lead out. */
import { stat } from "node:fs/promises";
import { refuseOutsideLinks } from "@zerogate/core/node";

/** Looks at those of the folders that are given, unless links are followed. Throws an `InputError` that lists the links. */
export async function checkLinks(
  { links = true }: { readonly links?: boolean | undefined },
  folders: readonly (string | undefined)[],
): Promise<void> {
  if (links) return;
  for (const folder of folders) {
    if (folder === undefined) continue;
    const isFile = (await stat(folder).catch(() => undefined))?.isFile(); // an adapter that somebody named
    if (!isFile) await refuseOutsideLinks(folder);
  }
}
