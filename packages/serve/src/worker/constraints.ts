/** Constraints of schemas, each compiled once for all texts that follow it. */
import { constrainTo, jsonGrammar, type TokenConstraint, type TokenTrie } from "@zerogate/core";

/** Schemas whose constraints are kept. */
const MOST_KEPT = 32;

/** Opens an empty store; the newest constraints are kept. */
export function openConstraints(trie: TokenTrie): (schema: unknown) => TokenConstraint {
  const kept = new Map<string, TokenConstraint>();
  return (schema) => {
    const key = JSON.stringify(schema);
    const constraint = kept.get(key) ?? constrainTo(jsonGrammar(schema), trie);
    kept.delete(key);
    kept.set(key, constraint);
    const [oldest] = kept.keys();
    if (kept.size > MOST_KEPT && oldest !== undefined) kept.delete(oldest);
    return constraint;
  };
}
