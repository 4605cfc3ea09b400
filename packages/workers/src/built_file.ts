/** Files that worker threads load: built JavaScript, even if this module itself runs as source (Node 20, vitest). */
import { existsSync } from "node:fs";

/** URL of `dist/<name>.js`. Throws if it was not built. */
export function builtFile(name: string): string {
  const url = new URL(`../dist/${name}.js`, import.meta.url);
  if (!existsSync(url)) throw new Error(`Cannot start a worker: ${url.pathname} is missing, run \`pnpm build\``);
  return url.href;
}
