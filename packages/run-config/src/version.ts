/** Versions that a run stores with its results. */
import { createRequire } from "node:module";

const { version } = createRequire(import.meta.url)("../package.json") as { readonly version: string };

/** Versions that a run stores with its results. */
export const versions: { readonly zerogate: string; readonly node: string } = {
  zerogate: version,
  node: process.versions.node,
};
