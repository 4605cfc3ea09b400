/** How a file is recognised: by its name, if only zerogate gives that name, else by what it holds. */
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { describeFile, type FileDescription, type FileKind, parsePythonJson } from "@zerogate/core/formats";
import { openRegularFile, readRegularFile } from "@zerogate/core/node";

export interface OpenedFile {
  readonly path: string;
  /** Without what a copy that was set aside has at its end (`.corrupt`, `.corrupt-2`). */
  readonly name: string;
  readonly bytes: number;
  readonly head: Buffer;
  /** By the first bytes; undefined if they say nothing. */
  readonly described: FileDescription | undefined;
  /** The whole file, if it is one JSON object. */
  readonly object: JsonObject | undefined;
  /** The first line, if it is a JSON object and others may follow. */
  readonly line: JsonObject | undefined;
}

export type JsonObject = Readonly<Record<string, unknown>>;

export interface KnownFile {
  readonly kind: string;
  /** What it is for, in a sentence without a period. */
  readonly what: string;
  /** What its first bytes say it is, if that is not text. */
  readonly format?: FileKind;
  /** It is one JSON object: if it is none, that is what is wrong with it. */
  readonly isJson?: boolean;
  is(file: OpenedFile): boolean;
  /** What is in it. May throw what reading throws: then the file is reported as damaged. */
  read(file: OpenedFile): JsonObject | Promise<JsonObject>;
}

const HEAD_BYTES = 4096;
/** The largest JSON file of a model folder, a tokenizer, has some 35 MB. */
const MAX_OBJECT_BYTES = 64 * 2 ** 20;
/** Lines of our own files are shorter. */
const MAX_LINE_BYTES = 1 << 20;

export async function openFile(path: string): Promise<OpenedFile> {
  const handle = await openRegularFile(path);
  try {
    const { size: bytes } = await handle.stat();
    const first = await readStart(handle, Math.min(bytes, MAX_LINE_BYTES));
    const head = first.subarray(0, HEAD_BYTES);
    const described = describeFile(head, bytes);
    const isText = described?.kind === "text" || described?.kind === "server-message";
    const end = first.indexOf("\n");
    const line =
      isText && (end !== -1 || bytes <= first.length)
        ? objectOf(first.subarray(0, end === -1 ? bytes : end))
        : undefined;
    const isAlone = line !== undefined && (end === -1 || end + 1 === bytes);
    const mayBeObject = isText && line === undefined && /^\s*\{/.test(head.toString()) && bytes <= MAX_OBJECT_BYTES;
    const object = isAlone ? line : mayBeObject ? objectOf(await readRegularFile(path)) : undefined;
    const name = basename(path).replace(/\.corrupt(?:-\d+)?$/, "");
    return { path, name, bytes, head, described, object, line };
  } finally {
    await handle.close();
  }
}

async function readStart(handle: Awaited<ReturnType<typeof open>>, bytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, 0);
  return buffer.subarray(0, bytesRead);
}

/** The text as a JSON object; undefined if it is something else. */
function objectOf(bytes: Uint8Array): JsonObject | undefined {
  try {
    const value = parsePythonJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a JSON object has all of these keys. */
export function hasKeys(object: JsonObject | undefined, ...keys: readonly string[]): boolean {
  return object !== undefined && keys.every((key) => Object.hasOwn(object, key));
}
