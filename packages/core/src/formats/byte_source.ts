/** A file that is read by position, so that a format can be judged before it is in memory. */
export interface ByteSource {
  /** For messages. */
  readonly path: string;
  readonly bytes: number;
  /** A fresh array with the bytes from `begin` up to, not including, `end`; both lie inside the file. */
  read(begin: number, end: number): Promise<Uint8Array>;
}

/** Bytes that are in memory already. */
export function memorySource(bytes: Uint8Array, path: string): ByteSource {
  return { path, bytes: bytes.byteLength, read: async (begin, end) => bytes.slice(begin, end) };
}
