/** `--no-links`, for folders that a stranger packed: no link in them may lead out. */
import { refuseOutsideLinks } from "@zerogate/core/node";

/** Looks at those of the folders that are given, unless links are followed. Throws an `InputError` that lists the links. */
export async function checkLinks(
  { links = true }: { readonly links?: boolean | undefined },
  folders: readonly (string | undefined)[],
): Promise<void> {
  if (links) return;
  for (const folder of folders) if (folder !== undefined) await refuseOutsideLinks(folder);
}
