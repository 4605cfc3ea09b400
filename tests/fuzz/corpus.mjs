/** Files to start from. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The files of a folder whose names match, in the order of their names; `folder` is relative to the repository. */
export function filesOf(folder, pattern = /./) {
  const path = fileURLToPath(new URL(`../../${folder}/`, import.meta.url));
  const names = readdirSync(path).filter((name) => pattern.test(name));
  return names.toSorted().map((name) => new Uint8Array(readFileSync(join(path, name))));
}

/** A folder for readers that take a path; `remove` it at the end. */
export function scratchFolder() {
  const path = mkdtempSync(join(tmpdir(), "zerogate-fuzz-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A torch file as torch writes it after `set_crc32_options(False)`. */
export function withoutCrc(file) {
  const bytes = Buffer.from(file);
  for (let at = bytes.indexOf("PK\x01\x02"); at >= 0; at = bytes.indexOf("PK\x01\x02", at + 1))
    bytes.writeUInt32LE(0, at + 16);
  return bytes;
}
