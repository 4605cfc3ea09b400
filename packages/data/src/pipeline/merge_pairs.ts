/**
 * Byte-pair merging as SentencePiece and tiktoken do it: of all neighbours whose joined text is a piece, the best pair is joined
 * first, among equals the leftmost, until no pair is left. O(n log n) in the number of symbols.
 */

/** A pair in the heap; it is stale once one of the two has grown or was taken. */
interface Pair {
  readonly left: number;
  readonly right: number;
  readonly length: number;
  readonly score: number;
}

/**
 * @param symbols Joined they are the text; they are changed in place, and those that were joined to another one are "" afterwards.
 * @param scoreOf Returns how good it is to join two texts, more is better; undefined if they must not be joined.
 * @returns what is left, in order.
 */
export function mergePairs(
  symbols: string[],
  scoreOf: (left: string, right: string, at: number, next: number) => number | undefined,
): string[] {
  const next = Int32Array.from(symbols, (_, i) => (i + 1 < symbols.length ? i + 1 : -1));
  const previous = Int32Array.from(symbols, (_, i) => i - 1);
  const heap: Pair[] = [];
  const offer = (left: number, right: number) => {
    if (left < 0 || right < 0) return;
    const [a = "", b = ""] = [symbols[left], symbols[right]];
    const score = scoreOf(a, b, left, right);
    if (score !== undefined) push(heap, { left, right, length: a.length + b.length, score });
  };
  for (let i = 1; i < symbols.length; i++) offer(i - 1, i);
  for (let best = pop(heap); best; best = pop(heap)) {
    const { left, right, length } = best;
    const [a = "", b = ""] = [symbols[left], symbols[right]];
    if (a === "" || b === "" || a.length + b.length !== length) continue;
    symbols[left] = a + b;
    symbols[right] = "";
    const after = next[right] ?? -1;
    next[left] = after;
    if (after >= 0) previous[after] = left;
    offer(previous[left] ?? -1, left);
    offer(left, after);
  }
  return symbols.filter((symbol) => symbol !== "");
}

const isBetter = (a: Pair, b: Pair): boolean => a.score > b.score || (a.score === b.score && a.left < b.left);

function push(heap: Pair[], pair: Pair): void {
  let at = heap.length;
  heap.push(pair);
  while (at > 0) {
    const above = (at - 1) >> 1;
    const parent = heap[above];
    if (!parent || !isBetter(pair, parent)) break;
    heap[at] = parent;
    at = above;
  }
  heap[at] = pair;
}

function pop(heap: Pair[]): Pair | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (!top || !last || heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    const [left, right] = [heap[below], heap[below + 1]];
    if (!left) break;
    if (right && isBetter(right, left)) below++;
    const child = heap[below];
    if (!child || !isBetter(child, last)) break;
    heap[at] = child;
    at = below;
  }
  heap[at] = last;
  return top;
}
