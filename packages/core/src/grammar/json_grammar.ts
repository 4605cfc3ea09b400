/** Grammars of JSON texts, and the tokens that may follow at each place of a text. */
import type { ConstrainedText, TokenConstraint } from "../generate/constraint.ts";
import { type Automaton, openAutomaton, type TextPlace } from "./automaton.ts";
import { readSchema } from "./read_schema.ts";
import { type Texts, textsOf } from "./rules.ts";
import type { TokenTrie } from "./token_trie.ts";

/** The JSON texts of a schema. */
export interface JsonGrammar {
  readonly texts: Texts;
}

/**
 * Reads a JSON Schema. Followed are `type`, `properties`, `required`, `additionalProperties`, `items`, `minItems`, `maxItems`, `enum`,
 * `const`, `anyOf`, `oneOf` of what excludes each other, `minLength`, `maxLength`, bounds of numbers, and `$ref` within the schema, up to
 * eight times inside itself. Properties come in the order of the schema, and only those that it names unless `additionalProperties` says
 * otherwise.
 *
 * @throws InputError that names every other keyword, and for schemas that are too large.
 * @example
 * const grammar = jsonGrammar({ type: "object", properties: { name: { type: "string" } }, required: ["name"] });
 * grammar.texts.states.length > 10; // true
 */
export function jsonGrammar(schema: unknown): JsonGrammar {
  return { texts: textsOf(readSchema(schema)) };
}

/** Places whose tokens are remembered. */
const MOST_MASKS = 512;

/** The tokens that may follow at a place. */
interface Mask {
  /** A bit for each token. */
  readonly bits: Uint32Array;
  readonly count: number;
  /** The most bytes that one of them leaves to be written. */
  readonly most: number;
}

/**
 * Lets texts of a grammar be written with the tokens of a vocabulary, and nothing else: they are whole when they end, however few tokens
 * are left.
 *
 * @throws InputError if the vocabulary has no tokens for them.
 * @example
 * const trie = tokenTrie(256, (id) => Uint8Array.of(id));
 * const text = constrainTo(jsonGrammar({ const: 1 }), trie).begin();
 * const logits = text.masked(new Float32Array(256), { left: 8, endIds: [] });
 * logits.indexOf(0) === "\n".charCodeAt(0); // true: white space may come first
 * text.accept("1".charCodeAt(0));
 * text.isOver; // true
 */
export function constrainTo({ texts }: JsonGrammar, trie: TokenTrie): TokenConstraint {
  const automaton = openAutomaton(texts, trie.single);
  const bytes = bytesOfTokens(trie);
  const masks = new Map<TextPlace, Mask>();

  function maskOf(place: TextPlace, left: number): Mask {
    const known = masks.get(place);
    if (known && known.most < left) return known;
    const mask = findTokens(automaton, trie, place, Number.POSITIVE_INFINITY);
    if (!known) {
      const [oldest] = masks.keys();
      if (masks.size >= MOST_MASKS && oldest) masks.delete(oldest);
      masks.set(place, mask);
    }
    return mask.most < left ? mask : findTokens(automaton, trie, place, left - 1);
  }

  return {
    leastTokens: automaton.start.rest,
    begin(ids = []) {
      let place: TextPlace | undefined = automaton.start;
      const text: ConstrainedText = {
        masked(logits, { left, endIds }) {
          const changed = new Float32Array(logits.length).fill(Number.NEGATIVE_INFINITY);
          if (!place) return changed;
          const { bits, count } = maskOf(place, left);
          if (count > 0) copyAllowed(changed, logits, bits);
          const mayEnd = automaton.isEnd(place);
          for (const id of endIds) changed[id] = mayEnd ? (logits[id] ?? 0) : Number.NEGATIVE_INFINITY;
          return changed;
        },
        accept(id) {
          for (const byte of bytes[id] ?? []) place = place && automaton.step(place, byte);
          if (!bytes[id]) place = undefined;
        },
        get isOver() {
          return place !== undefined && automaton.isEnd(place) && !automaton.goesOn(place);
        },
      };
      for (const id of ids) text.accept(id);
      return text;
    },
  };
}

function copyAllowed(changed: Float32Array, logits: Float32Array, bits: Uint32Array): void {
  for (let word = 0; word < bits.length; word++) {
    const own = bits[word] ?? 0;
    if (own === 0) continue;
    const first = word * 32;
    for (let bit = 0; bit < 32; bit++) if ((own >>> bit) & 1) changed[first + bit] = logits[first + bit] ?? 0;
  }
}

/** Walks the tree of tokens as far as the text may go on, and takes those that leave no more than the given number of bytes to write. */
function findTokens({ step }: Automaton, trie: TokenTrie, start: TextPlace, mostRest: number): Mask {
  const { children, siblings, bytes, tokens, same } = trie;
  const bits = new Uint32Array(Math.ceil(trie.size / 32));
  let [count, most] = [0, 0];
  const open: { readonly node: number; readonly place: TextPlace }[] = [{ node: 0, place: start }];
  for (let next = open.pop(); next; next = open.pop()) {
    for (let child = children[next.node] ?? 0; child !== 0; child = siblings[child] ?? 0) {
      const place = step(next.place, bytes[child] ?? 0);
      if (!place) continue;
      open.push({ node: child, place });
      if (place.rest > mostRest) continue;
      for (let id = tokens[child] ?? -1; id >= 0; id = same[id] ?? -1) {
        bits[id >>> 5] = (bits[id >>> 5] ?? 0) | (1 << (id & 31));
        count++;
        most = Math.max(most, place.rest);
      }
    }
  }
  return { bits, count, most };
}

function bytesOfTokens(trie: TokenTrie): (readonly number[] | undefined)[] {
  const { children, siblings, bytes, tokens, same } = trie;
  const found: (readonly number[] | undefined)[] = Array.from({ length: trie.size });
  const open: { readonly node: number; readonly path: readonly number[] }[] = [{ node: 0, path: [] }];
  for (let next = open.pop(); next; next = open.pop()) {
    for (let child = children[next.node] ?? 0; child !== 0; child = siblings[child] ?? 0) {
      const path = [...next.path, bytes[child] ?? 0];
      open.push({ node: child, path });
      for (let id = tokens[child] ?? -1; id >= 0; id = same[id] ?? -1) found[id] = path;
    }
  }
  return found;
}
