/** First-fit packing in n log n time: a tree over the bins knows the largest room below each of its nodes. */

/**
 * Returns the bin of each size, in the given order: the first one with room. A size above `capacity` gets a bin of its own.
 *
 * @example firstFit(Int32Array.of(7, 5, 3), 10) // 0, 1, 0
 */
export function firstFit(sizes: Int32Array, capacity: number): Int32Array {
  let leaves = 1;
  while (leaves < sizes.length) leaves *= 2;
  /** Node n stands above 2n and 2n + 1; bins that nothing is in yet are as good as open ones. */
  const room = new Int32Array(2 * leaves).fill(capacity);
  let opened = 0;
  return sizes.map((size) => {
    const bin = size > capacity ? opened : firstWithRoom(room, size);
    opened = Math.max(opened, bin + 1);
    let node = leaves + bin;
    room[node] = room[node]! - size;
    for (node >>= 1; node > 0; node >>= 1) room[node] = Math.max(room[2 * node]!, room[2 * node + 1]!);
    return bin;
  });
}

function firstWithRoom(room: Int32Array, size: number): number {
  const leaves = room.length / 2;
  let node = 1;
  while (node < leaves) node = room[2 * node]! >= size ? 2 * node : 2 * node + 1;
  return node - leaves;
}
