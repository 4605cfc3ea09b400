/** The version of this command, read alone: `zerogate --version` loads nothing else. All packages have the same one. */
import { createRequire } from "node:module";

const manifest = createRequire(import.meta.url)("../package.json") as { readonly version: string };

export const version: string = manifest.version;
