/**
 * A file of weights without its numbers: what it says of them, at its place in a file of its size that takes no room on the disk. Headers
 * of safetensors and GGUF are its first bytes; a file of torch is a zip, whose directory is at its end.
 */
import { open } from "node:fs/promises";
import { type ByteSource, openTorchFile, parseGgufHeader } from "@zerogate/core/formats";

/** Most headers of weights are in the first part; longer ones are read on, twice as much each time. */
const FIRST_BYTES = 64 * 2 ** 10;
/** As readers of safetensors have it. */
const MAX_HEADER_BYTES = 100_000_000;
/** Numbers that are a part of the config. */
const ofConfig = /^rope_f\w+\.weight$/;
const MAX_CONFIG_BYTES = 2 ** 20;

/** Bytes of a file, and where they lie in it. */
interface Piece {
  readonly begin: number;
  readonly bytes: Uint8Array;
}

type Describe = (source: ByteSource) => Promise<readonly Piece[]>;

/** By the end of the name. */
const forms: readonly (readonly [pattern: RegExp, describe: Describe])[] = [
  [/\.safetensors$/i, safetensorsHeader],
  [/\.gguf$/i, ggufHeader],
  [/\.bin$/i, torchHeader],
];

/** Whether a file of this name holds weights that can be described without their numbers. */
export function isDescribed(path: string): boolean {
  return forms.some(([pattern]) => pattern.test(path));
}

/** Writes such a file to `target`. */
export async function writeHeader(source: ByteSource, target: string): Promise<void> {
  const [, describe = safetensorsHeader] = forms.find(([pattern]) => pattern.test(source.path)) ?? [];
  const pieces = await describe(source);
  const file = await open(target, "w");
  try {
    await file.truncate(source.bytes);
    for (const { begin, bytes } of pieces) await file.write(bytes, 0, bytes.length, begin);
  } finally {
    await file.close();
  }
}

async function safetensorsHeader(source: ByteSource): Promise<Piece[]> {
  const first = await source.read(0, Math.min(FIRST_BYTES, source.bytes));
  const length = first.length < 8 ? 0 : Number(new DataView(first.buffer, first.byteOffset).getBigUint64(0, true));
  const end = Math.min(8 + length, source.bytes, MAX_HEADER_BYTES + 8);
  const rest = end > first.length ? await source.read(first.length, end) : new Uint8Array();
  return [
    { begin: 0, bytes: first.subarray(0, end) },
    { begin: first.length, bytes: rest },
  ];
}

async function ggufHeader(source: ByteSource): Promise<Piece[]> {
  let head = new Uint8Array();
  for (let end = FIRST_BYTES; ; end *= 2) {
    const rest = await source.read(head.length, Math.min(end, source.bytes));
    head = new Uint8Array(Buffer.concat([head, rest]));
    const header = parseGgufHeader(head, source.bytes, source.path);
    if (!header) continue;
    const pieces: Piece[] = [{ begin: 0, bytes: head }];
    for (const [name, { begin, end: past }] of header.tensors) {
      const isSmall = past - begin <= MAX_CONFIG_BYTES;
      if (ofConfig.test(name) && isSmall) pieces.push({ begin, bytes: await source.read(begin, past) });
    }
    return pieces;
  }
}

const LOCAL_HEADER = 0x04034b50;
const LOCAL_BYTES = 30;

/** The directory and the pickle as they are; in front of the numbers headers as torch writes them, which the directory repeats. */
async function torchHeader(source: ByteSource): Promise<Piece[]> {
  const read: Piece[] = [];
  const kept: ByteSource = {
    ...source,
    async read(begin, end) {
      const bytes = await source.read(begin, end);
      read.push({ begin, bytes });
      return bytes;
    },
  };
  const { entries } = await openTorchFile(kept);
  const made = [...entries.values()].map(({ name, begin }): Piece => {
    const text = new TextEncoder().encode(name);
    const bytes = new Uint8Array(LOCAL_BYTES + text.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, LOCAL_HEADER, true);
    view.setUint16(26, text.length, true);
    bytes.set(text, LOCAL_BYTES);
    return { begin, bytes };
  });
  return [...made, ...read];
}
