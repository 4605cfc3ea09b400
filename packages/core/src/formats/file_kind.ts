/**
 * Recognises what a file is by its first bytes, for the message if it is not what was needed: a Git LFS pointer instead of
 * weights, a web page instead of a config, a compressed file instead of data. Bytes in, words out, no files.
 */
import { binaryKinds, type FileKind } from "./file_signatures.ts";
import { formatBytes } from "./format_bytes.ts";

/** What a file is, for people. */
export interface FileDescription {
  readonly kind: FileKind;
  /** With its article: `a web page ("Sign in")`. */
  readonly what: string;
  /** A whole sentence without a period, with what to do: `it is a web page ("Sign in"), …: download …`. */
  readonly problem: string;
}

/** How many bytes of a file `describeFile` looks at; more are of no use to it. */
export const DESCRIBED_BYTES = 512;

/**
 * Describes a file of `fileBytes` bytes that begins with `head`; its first `DESCRIBED_BYTES` are enough. Returns
 * undefined if nothing is recognised, and if it is of the kind that was `wanted`: then it is that, but damaged.
 */
export function describeFile(head: Uint8Array, fileBytes: number, wanted?: FileKind): FileDescription | undefined {
  const found = recognise(head.subarray(0, DESCRIBED_BYTES), fileBytes);
  return found === undefined || found.kind === wanted ? undefined : found;
}

const again = "download or copy it again";

function recognise(head: Uint8Array, fileBytes: number): FileDescription | undefined {
  if (fileBytes === 0 || head.length === 0) return described("empty", "empty", again);
  if (head.length >= 8 && head.every((byte) => byte === 0)) {
    const what = `filled with zeros (its first ${head.length} bytes), as a download that never ended leaves it`;
    return described("zeros", what, again);
  }
  for (const { kind, what, advice, matches } of binaryKinds) {
    if (matches(head)) return described(kind, what, advice);
  }
  if (isSafetensors(head, fileBytes)) return described("safetensors", "a safetensors file", "it holds tensors");
  const text = textOf(head);
  return text === undefined ? undefined : recogniseText(text, fileBytes);
}

function recogniseText(text: string, fileBytes: number): FileDescription {
  const start = text.trimStart();
  if (start === "") return described("text", "blank text", again);
  const pointer = pointerOf(start);
  if (pointer) return pointer;
  if (/^<(?:!doctype\s+html|html|head|body|script|meta|title|!--)\b/i.test(start)) {
    const title = /<title[^>]*>\s*([^<]*?)\s*</i.exec(start)?.[1];
    const what = `a web page${title ? ` (${quoted(title)})` : ""}, such as one for logging in or an error`;
    return described("web-page", what, "download the file itself (on the Hub its address has /resolve/, not /blob/)");
  }
  if (/^<(?:\?xml|Error>)/i.test(start)) {
    return described("server-message", "XML, such as a server's error message", "download the file itself");
  }
  const isAnswer =
    /^(?:\{\s*"(?:error|message|detail)"\s*:\s*"|(?:\d{3}:? )?(?:entry |repository |page )?not found\b)/i;
  const isRefusal =
    /^(?:access to \w+ .* is restricted|access denied|invalid (?:username|credentials|user token)|unauthori[sz]ed|forbidden|bad gateway|too many requests|rate limit)/i;
  if (fileBytes <= 4096 && (isAnswer.test(start) || isRefusal.test(start))) {
    return described("server-message", `a server's answer (${quoted(start)})`, "download the file itself");
  }
  const line = start.trimEnd();
  if (fileBytes <= 512 && /^(?:\.{0,2}\/)?[\w.-]+(?:\/[\w.@+-]+)+$/.test(line)) {
    const what = `the text of a link (to ${quoted(line)}), not the file that it leads to`;
    return described("link-text", what, "copy that file here");
  }
  return described("text", `text that begins with ${quoted(start)}`, "is this the file that was meant");
}

/** What version control leaves in the place of a large file. */
function pointerOf(text: string): FileDescription | undefined {
  if (/^version https:\/\/(?:git-lfs\.github\.com|hawser\.github\.com)\/spec\//.test(text)) {
    const size = /^size (\d{1,15})$/m.exec(text)?.[1];
    const real = size === undefined ? "the file itself" : `the file itself (${formatBytes(Number(size))})`;
    const what = `a Git LFS pointer; ${real} was not fetched`;
    return described("pointer", what, "run `git lfs pull` in its repository, or download it from the Hub");
  }
  if (text.startsWith("# xet version ")) {
    return described("pointer", "a Xet pointer; the file itself was not fetched", "run `git xet pull`, or download it");
  }
  if (text.startsWith("/annex/objects/")) {
    return described("pointer", "a git-annex pointer; the file itself was not fetched", "run `git annex get` on it");
  }
  return undefined;
}

/** As far as the head shows: a length that can be, and JSON that begins. */
function isSafetensors(head: Uint8Array, fileBytes: number): boolean {
  if (head.length < 10 || head[8] !== 0x7b) return false;
  const headerBytes = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
  return headerBytes >= 2n && headerBytes <= 100_000_000n && fileBytes >= 10;
}

/** The head as text, if it is UTF-8 without control characters; the last character may be cut off. */
function textOf(head: Uint8Array): string | undefined {
  try {
    // Not every TextDecoder takes shared memory, hence the copy.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(head.slice(), { stream: true });
    return /(?![\t\n\v\f\r])\p{Cc}/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function quoted(text: string): string {
  const line = text.replace(/\s+/g, " ").trimEnd();
  const shown = line.length > 60 ? `${line.slice(0, 60).replace(/\p{Surrogate}$/u, "")}…` : line;
  return JSON.stringify(shown);
}

function described(kind: FileKind, what: string, advice: string): FileDescription {
  return { kind, what, problem: `it is ${what}: ${advice}` };
}
