/** Names of files as a server gives them. None may lead out of its folder, on any system that a cache may be moved to. */

const MAX_CHARACTERS = 1000;
/** Of one part, as file systems have it. */
const MAX_PART_BYTES = 255;

/** What separates, steers or has a meaning of its own somewhere: Windows, drives, patterns, terminals. */
const refused = /[\p{Cc}<>:"|?*\\]/u;
/** Windows opens a device instead, whatever follows the dot. */
const device = /^(?:con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³])(?:\.|$)/i;

/** Says why no file may have this path in a repository, as the end of a sentence; undefined if one may. */
export function pathProblem(path: string): string | undefined {
  if (path.length > MAX_CHARACTERS) return `has ${path.length} characters, at most ${MAX_CHARACTERS} are taken`;
  if (path.startsWith("/") || /^[a-z]:/i.test(path)) return "is absolute";
  for (const part of path.split("/")) {
    if (part === "") return "has a part without a name";
    if (part === "." || part === "..") return `leads elsewhere by ${part}`;
    if (refused.test(part)) return "has a character that not every system can have in a name";
    if (/[. ]$/.test(part)) return "has a part that ends in a dot or space, which Windows drops";
    if (device.test(part)) return "has a part that is a device on Windows";
    if (Buffer.byteLength(part) > MAX_PART_BYTES) return `has a part of more than ${MAX_PART_BYTES} bytes`;
  }
  return undefined;
}

/** Returns the paths that differ in their case or their way of writing accents only: one would replace the other on some systems. */
export function sameOnSomeSystems(paths: readonly string[]): readonly string[] | undefined {
  const seen = new Map<string, string>();
  for (const path of paths) {
    const folded = path.normalize("NFC").toLowerCase();
    const before = seen.get(folded);
    if (before !== undefined) return [before, path];
    seen.set(folded, path);
  }
  return undefined;
}
