/** Where real models and golden values lie, outside the repository. Tests that need an absent one are skipped and say so. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Path of something beside the project's root, in `shared/`. */
export const sharedPath = (name: string): string =>
  fileURLToPath(new URL(`../../../../shared/${name}`, import.meta.url));

/** For test titles: the reason why it does not run, or nothing. */
export function absent(name: string): string {
  return existsSync(sharedPath(name)) ? "" : ` (skipped: shared/${name} is not on this machine)`;
}
