/**
 * Messages over a byte stream: msgpack in frames that prove themselves.
 *
 *   u32 bytes of the message · u32 CRC-32 of the message · u32 CRC-32 of the eight bytes before · message
 *
 * Little-endian. The header has a checksum of its own, so that a wrong length is found at once and not after waiting for bytes
 * that never come.
 */
import type { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import { Packr } from "msgpackr";

const HEADER_BYTES = 12;

/** Typed arrays, undefined and other things that structured clone knows cross as they are. */
const packr = new Packr({ structuredClone: true, useRecords: false });

/** A message as header and body: two writes, no copy. Throws a RangeError above `maxBytes`. */
export function encodeFrame(message: unknown, maxBytes: number): [header: Uint8Array, body: Uint8Array] {
  const body = packr.pack(message);
  if (body.length > maxBytes) {
    throw new RangeError(`Cannot send a message of ${body.length} bytes: at most ${maxBytes} fit`);
  }
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(body.length, 0);
  header.writeUInt32LE(crc32(body), 4);
  header.writeUInt32LE(crc32(header.subarray(0, 8)), 8);
  return [header, body];
}

/**
 * Reads frames until the stream ends. The first one that is broken or longer than `maxBytes` goes to `onBroken`, in words, and
 * nothing after it is read.
 */
export function readFrames(
  stream: Readable,
  maxBytes: number,
  onMessage: (message: unknown) => void,
  onBroken: (problem: string) => void,
): void {
  let chunks: Buffer[] = [];
  let held = 0;
  let needed = HEADER_BYTES;
  let bodyCrc: number | undefined;

  /** Exactly the bytes that were waited for; the rest stays. */
  const take = (): Buffer => {
    const all = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
    chunks = all.length > needed ? [all.subarray(needed)] : [];
    held -= needed;
    return all.subarray(0, needed);
  };
  const read = () => {
    while (held >= needed) {
      const bytes = take();
      if (bodyCrc === undefined) {
        const length = bytes.readUInt32LE(0);
        if (crc32(bytes.subarray(0, 8)) !== bytes.readUInt32LE(8)) return stop("a frame with a broken header");
        if (length > maxBytes) return stop(`a frame of ${length} bytes, at most ${maxBytes} are allowed`);
        bodyCrc = bytes.readUInt32LE(4);
        needed = length;
      } else {
        if (crc32(bytes) !== bodyCrc) return stop(`a frame of ${bytes.length} bytes with a wrong checksum`);
        bodyCrc = undefined;
        needed = HEADER_BYTES;
        onMessage(packr.unpack(bytes));
      }
    }
  };
  const onData = (chunk: Buffer) => {
    chunks.push(chunk);
    held += chunk.length;
    read();
  };
  const stop = (problem: string) => {
    stream.off("data", onData);
    stream.pause();
    onBroken(problem);
  };
  stream.on("data", onData);
}
