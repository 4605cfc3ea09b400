/** The line that a person types next about a run. */

import { ownCommand } from "@zerogate/run-config";
import type { RunState } from "@zerogate/run-files";
import type { DeliveredAdapter } from "./delivered.ts";
import type { RunStanding } from "./run_standing.ts";

export interface NextStep extends RunStanding {
  readonly path: string;
  readonly adapter: DeliveredAdapter | undefined;
  readonly isBaseThere: boolean;
  readonly isConfigRead: boolean;
  readonly saved: RunState | undefined;
  /** Of this program. */
  readonly current: RunState["versions"];
}

/** A run whose base lies elsewhere now needs `--model`, and one of another version consent. */
export function nextCommand({ path, state, adapter, isBaseThere, isConfigRead, saved, current }: NextStep): string {
  const model = isBaseThere ? "" : " --model BASE";
  if (state === "running" || state === "unknown") return ownCommand`inspect ${path}`;
  if (state === "finished" && adapter) return `${ownCommand`chat --adapter ${path}`}${model}`;
  if (!isConfigRead) return ownCommand`train --help`;
  const changed = (["zerogate", "node"] as const).filter((name) => saved && saved.versions[name] !== current[name]);
  const consent = changed.map((name) => ` --accept-change ${name}`).join("");
  return `${ownCommand`resume ${path}`}${model}${consent}`;
}
