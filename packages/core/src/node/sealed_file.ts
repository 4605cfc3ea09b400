/**
 * Cache files that end with their own hash. Little-endian:
 *
 *   magic (8 letters)  u32 header bytes  header JSON  body  SHA-256 of all before
 */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { parseStrictJson } from "../formats/strict_json.ts";
import { writeFileAtomic } from "./atomic.ts";
import { openRegularFile } from "./regular_file.ts";

const HASH_BYTES = 32;
/** One read of a file returns less than 2 GiB. */
const MAX_READ_BYTES = 2 ** 30;

/** A kind of such files. */
export interface SealedKind<Header> {
  /** Eight ASCII letters. */
  readonly magic: string;
  /** For messages: `a token file`. */
  readonly name: string;
  readonly maxHeaderBytes: number;
  /** Throws any error if this is no header of the kind. */
  parseHeader(json: unknown): Header;
}

/** A file whose header is read. */
export interface OpenedSeal<Header> {
  readonly header: Header;
  /** Byte of the file where the body begins. */
  readonly bodyAt: number;
  /** Bytes between header and hash: compare them with what the header says before you allocate anything. */
  readonly bodyBytes: number;
  /** Reads the next bytes of the body. */
  fill(bytes: Uint8Array): Promise<void>;
  /** The error for a file that is not as it should be. */
  fail(problem: string): Error;
}

/**
 * Writes the file in one step, and its folder if that is missing: readers see the whole file or none. What does not fit into
 * memory comes part after part. Returns the byte where the body begins.
 */
export async function writeSealedFile(
  path: string,
  { magic }: Pick<SealedKind<unknown>, "magic">,
  header: object,
  body: readonly (Uint8Array | AsyncIterable<Uint8Array>)[],
): Promise<number> {
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(magic.length + 4);
  prefix.write(magic, "latin1");
  prefix.writeUInt32LE(text.length, magic.length);
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, sealed([prefix, text, ...body]));
  return prefix.length + text.length;
}

/** The parts, then their hash. */
async function* sealed(parts: readonly (Uint8Array | AsyncIterable<Uint8Array>)[]): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  for (const part of parts) {
    for await (const bytes of part instanceof Uint8Array ? [part] : part) {
      hash.update(bytes);
      yield bytes;
    }
  }
  yield hash.digest();
}

/**
 * Reads a file of this kind; its hash is compared once `readBody` is done.
 *
 * @throws InputError if it cannot be opened (`cause`: the system's error), Error if it is damaged, saying how.
 */
export async function readSealedFile<Header, Body>(
  path: string,
  { magic, name, maxHeaderBytes, parseHeader }: SealedKind<Header>,
  readBody: (opened: OpenedSeal<Header>) => Promise<Body>,
): Promise<Body> {
  const file = await openRegularFile(path);
  try {
    const fail = (problem: string) => new Error(`Cannot use ${path}: ${problem}`);
    const hash = createHash("sha256");
    let position = 0;
    const read = async (bytes: Uint8Array) => {
      for (let got = 0; got < bytes.length; ) {
        const { bytesRead } = await file.read(bytes, got, Math.min(bytes.length - got, MAX_READ_BYTES), position);
        if (bytesRead === 0) throw fail("the file ends too early");
        got += bytesRead;
        position += bytesRead;
      }
    };
    const fill = async (bytes: Uint8Array) => {
      await read(bytes);
      hash.update(bytes);
    };
    const { size } = await file.stat();
    const prefix = Buffer.alloc(magic.length + 4);
    await fill(prefix);
    const headerBytes = prefix.readUInt32LE(magic.length);
    if (prefix.toString("latin1", 0, magic.length) !== magic || headerBytes > Math.min(size, maxHeaderBytes)) {
      throw fail(`it is not ${name}`);
    }
    const text = Buffer.alloc(headerBytes);
    await fill(text);
    let header: Header;
    try {
      header = parseHeader(parseStrictJson(text.toString()));
    } catch {
      throw fail(`its header is not that of ${name}`);
    }
    const body = await readBody({ header, bodyAt: position, bodyBytes: size - position - HASH_BYTES, fill, fail });
    const stored = Buffer.alloc(HASH_BYTES);
    await read(stored);
    if (position !== size || !hash.digest().equals(stored)) throw fail("its contents do not match its SHA-256");
    return body;
  } finally {
    await file.close();
  }
}
