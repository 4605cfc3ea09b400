/**
 * Takes off the names that wrappers around the saved model put in front of those of an adapter's tensors: DataParallel
 * (`module.`), `torch.compile` (`_orig_mod.`), PEFT around PEFT (`base_model.model.` twice).
 */
import { InputError } from "../../errors.ts";
import { wrapperPrefixes } from "../../model/checkpoint_names.ts";

const PEFT = "base_model.model.";

/** `name` without what wrappers put in front of it or behind PEFT's own prefix. */
export function unwrappedName(name: string): string {
  const prefix = wrapperPrefixes.exec(name)?.[0] ?? "";
  return prefix.includes(PEFT) ? PEFT + name.slice(prefix.length) : name.slice(prefix.length);
}

/**
 * Tensors under the names that PEFT gives them, and what was stripped, in words.
 * @throws InputError if two names become one.
 */
export function unwrapNames<T>(
  tensors: ReadonlyMap<string, T>,
  path: string,
): { readonly tensors: ReadonlyMap<string, T>; readonly notes: readonly string[] } {
  const plain = new Map<string, T>();
  const stripped = new Set<string>();
  const problems: string[] = [];
  let count = 0;
  for (const [name, tensor] of tensors) {
    const own = unwrappedName(name);
    if (own !== name) {
      count++;
      stripped.add(name.slice(0, name.length - own.length));
    }
    if (plain.has(own)) problems.push(`${JSON.stringify(name)} and another tensor are both ${own} without wrappers`);
    plain.set(own, tensor);
  }
  if (problems.length > 0) throw new InputError(`Cannot read the adapter ${path}`, problems);
  if (count === 0) return { tensors, notes: [] };
  const prefixes = [...stripped].map((prefix) => JSON.stringify(prefix)).join(", ");
  return { tensors: plain, notes: [`${path}: ${count} names of tensors are read without ${prefixes}`] };
}
