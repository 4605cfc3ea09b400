/** The kinds of adapters that this package knows, by name. */
import { adaptionPrompt } from "./adaption_prompt.ts";
import type { AdapterKind, AdapterState } from "./kind.ts";

const kinds: ReadonlyMap<string, AdapterKind> = new Map([adaptionPrompt].map((kind) => [kind.name, kind]));

/** The kind of an adapter: its own, or that of its name. Throws a RangeError for a name that is not known. */
export function kindOf({ kind, layout }: AdapterState): AdapterKind {
  const found = kind ?? kinds.get(layout.kind);
  if (found) return found;
  throw new RangeError(`Cannot use an adapter of the kind "${layout.kind}": known are ${[...kinds.keys()].join(", ")}`);
}
