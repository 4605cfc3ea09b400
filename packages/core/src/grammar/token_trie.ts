/** The tokens of a vocabulary by their bytes, as a tree: tokens that begin alike share its beginning. */

/** Tokens by their bytes. */
export interface TokenTrie {
  /** One more than the largest id. */
  readonly size: number;
  /** The byte that leads to a node. */
  readonly bytes: Uint8Array;
  /** The first node behind a node, and the next one beside it; 0 is none. */
  readonly children: Int32Array;
  readonly siblings: Int32Array;
  /** The last token that ends at a node, and the one before it with the same bytes; -1 is none. */
  readonly tokens: Int32Array;
  readonly same: Int32Array;
  /** Whether some token is this byte alone. */
  readonly single: Uint8Array;
}

/**
 * Builds the tree of a vocabulary.
 *
 * @param bytesOf returns the bytes that a token adds to a text, or undefined for one that no constraint may choose.
 * @example
 * const trie = tokenTrie(3, (id) => [Uint8Array.of(123), Uint8Array.of(125), undefined][id]);
 * trie.size; // 3
 */
export function tokenTrie(size: number, bytesOf: (id: number) => Uint8Array | undefined): TokenTrie {
  const bytes = [0];
  const children = [0];
  const siblings = [0];
  const tokens = [-1];
  const same = new Int32Array(size).fill(-1);
  const single = new Uint8Array(256);

  function nodeBehind(node: number, byte: number): number {
    for (let child = children[node] ?? 0; child !== 0; child = siblings[child] ?? 0)
      if (bytes[child] === byte) return child;
    bytes.push(byte);
    children.push(0);
    siblings.push(children[node] ?? 0);
    tokens.push(-1);
    return (children[node] = bytes.length - 1);
  }

  for (let id = 0; id < size; id++) {
    const own = bytesOf(id);
    if (!own || own.length === 0) continue; // a token without text would change nothing, again and again
    let node = 0;
    for (const byte of own) node = nodeBehind(node, byte);
    same[id] = tokens[node] ?? -1;
    tokens[node] = id;
    const [first = 0] = own;
    if (own.length === 1) single[first] = 1;
  }
  return {
    size,
    bytes: Uint8Array.from(bytes),
    children: Int32Array.from(children),
    siblings: Int32Array.from(siblings),
    tokens: Int32Array.from(tokens),
    same,
    single,
  };
}
