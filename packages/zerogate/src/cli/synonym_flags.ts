/** Flags as other programs call them: taken if they mean the same, explained if they do not. */
import { InputError } from "@zerogate/core/light";
import { flagName, flagSpellings, synonymOf, synonyms } from "@zerogate/run-config/words";
import { type Command, Option } from "commander";
import type { Flag } from "./definition.ts";

/** Adds to a command, not shown by its help, what its flags are called elsewhere. */
export function addSynonyms(command: Command, flags: Readonly<Record<string, Flag>>): void {
  const keys = Object.keys(flags);
  const taken = new Set(command.options.map(({ long }) => long));
  for (const name of [...keys, ...synonyms]) {
    const meant = synonymOf(name, keys, flagName);
    if (meant === undefined) continue;
    // A flag without a meaning here takes what stands behind it, so that nothing else is complained about.
    const { argument, repeats } = "key" in meant ? (flags[meant.key] ?? {}) : { argument: "[value]" };
    for (const long of flagSpellings(name)) {
      if (taken.has(long)) continue;
      taken.add(long);
      const option = new Option(argument === undefined ? long : `${long} ${argument}`).hideHelp();
      if (repeats) option.argParser((value: string, before?: string[]) => [...(before ?? []), value]);
      option.attributeName = () => long; // kept apart from the flag that it means
      command.addOption(option);
    }
  }
}

/**
 * Returns the values of flags by key, those that came under other names among them.
 * @throws InputError if a name means something else here, or a flag came under two names.
 */
export function namedFlags(
  given: Readonly<Record<string, unknown>>,
  keys: readonly string[],
  attempt: string,
  onNote: (note: string) => void,
): Record<string, unknown> {
  const flags: Record<string, unknown> = {};
  const names = new Map<string, string>();
  const notes: string[] = [];
  const problems: string[] = [];
  for (const [name, value] of Object.entries(given)) {
    const meant = name.startsWith("--") ? synonymOf(name, keys, flagName) : { key: name };
    if (meant === undefined) continue;
    if ("instead" in meant) {
      problems.push(`there is no flag ${name}: ${meant.instead}`);
      continue;
    }
    const { key } = meant;
    const [typed, before] = [name === key ? flagName(key) : name, names.get(key)];
    if (before !== undefined) problems.push(`${typed} and ${before} mean the same: leave one out`);
    names.set(key, typed);
    flags[key] = value;
    if (name !== key) notes.push(`${name} is taken as ${flagName(key)}`);
  }
  if (problems.length > 0) throw new InputError(attempt, problems);
  for (const note of notes) onNote(note);
  return flags;
}
