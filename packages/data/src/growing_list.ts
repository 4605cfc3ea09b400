/** A list of whole numbers that grows: four bytes each, where an array of JavaScript takes eight and more while it grows. */

export interface GrowingList {
  push(value: number): void;
  add(values: Int32Array): void;
  at(index: number): number | undefined;
  /** A copy. */
  all(): Int32Array;
}

const FIRST_ROOM = 1024;

export function growingList(): GrowingList {
  let room = new Int32Array(FIRST_ROOM);
  let length = 0;
  const makeRoom = (count: number): void => {
    if (length + count <= room.length) return;
    const larger = new Int32Array(Math.max(length + count, Math.ceil(1.5 * room.length)));
    larger.set(room);
    room = larger;
  };
  return {
    push(value) {
      makeRoom(1);
      room[length++] = value;
    },
    add(values) {
      makeRoom(values.length);
      room.set(values, length);
      length += values.length;
    },
    at: (index) => (index < length ? room[index] : undefined),
    all: () => room.slice(0, length),
  };
}
