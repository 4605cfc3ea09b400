import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { describeFileAt } from "../node.ts";
import { describeFile } from "./file_kind.ts";
import type { FileKind } from "./file_signatures.ts";
import { serializeSafetensors, type Tensor } from "./safetensors.ts";
import { serializeTorchFile } from "./torch_file.ts";

const scratch = mkdtempSync(join(tmpdir(), "zerogate-kind-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const utf8 = (text: string) => new TextEncoder().encode(text);
const latin = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const padded = (start: Uint8Array, length = 600) => {
  const file = new Uint8Array(length).fill(0x77);
  file.set(start);
  return file;
};
const tensors = new Map<string, Tensor>([["a", { dtype: "F32", shape: [2], bytes: new Uint8Array(8).fill(1) }]]);
const lfs = (size: string) =>
  utf8(`version https://git-lfs.github.com/spec/v1\noid sha256:${"5".repeat(64)}\nsize ${size}\n`);
const tar = padded(utf8("model/config.json"));
tar.set(utf8("ustar"), 257);

const exactly = (text: string) => new RegExp(`^${text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}$`);

/** What each file is, and what its sentence must say. */
const files: Record<string, [file: Uint8Array, kind: FileKind, says: string | RegExp]> = {
  "an empty file": [utf8(""), "empty", "it is empty: download or copy it again"],
  "a download that never ended": [new Uint8Array(4096), "zeros", /filled with zeros .* never ended/],
  "a Git LFS pointer": [
    lfs("4938985352"),
    "pointer",
    "it is a Git LFS pointer; the file itself (4.9 GB) was not fetched: run `git lfs pull` in its repository, or download it from the Hub",
  ],
  "a Git LFS pointer of Windows": [
    utf8(new TextDecoder().decode(lfs("812")).replaceAll("\n", "\r\n")),
    "pointer",
    /Git LFS pointer; the file itself/,
  ],
  "a Git LFS pointer without a size": [lfs("none"), "pointer", /the file itself was not fetched/],
  "a Xet pointer": [utf8('# xet version 0\nfilesize = 5\nhash = "a"\n'), "pointer", /Xet pointer.*git xet pull/],
  "a git-annex pointer": [utf8("/annex/objects/MD5E-s4--a.json\n"), "pointer", /git annex get/],
  "a login page": [
    utf8("\ufeff\n<!DOCTYPE html>\n<html><head><title>\n  Sign in – Hub </title>"),
    "web-page",
    'it is a web page ("Sign in – Hub"), such as one for logging in or an error: download the file itself (on the Hub its address has /resolve/, not /blob/)',
  ],
  "a web page without a head": [utf8("<html lang=en>"), "web-page", /it is a web page, such as/],
  "a storage server's error": [utf8('<?xml version="1.0"?><Error><Code>AccessDenied'), "server-message", /it is XML/],
  "the Hub's answer to a wrong name": [
    utf8("Entry not found"),
    "server-message",
    /server's answer \("Entry not found"\)/,
  ],
  "the Hub's answer to a gated model": [
    utf8("Access to model meta-llama/Llama-2-7b is restricted. You must be authenticated to access it."),
    "server-message",
    /a server's answer \("Access to model meta-llama/,
  ],
  "the Hub's answer in JSON": [utf8('{"error":"Invalid username or password."}'), "server-message", /Invalid username/],
  "the text of a link": [utf8("../../blobs/b072e7af686beb31\n"), "link-text", /the text of a link \(to "..\/..\/blobs/],
  "a gzip file": [gzipSync("{}"), "compressed", "it is a gzip file: unpack it with gunzip first"],
  "a Zstandard file": [padded(latin("\x28\xb5\x2f\xfd")), "compressed", /unzstd/],
  "an xz file": [padded(latin("\xfd7zXZ\0")), "compressed", /unxz/],
  "a bzip2 file": [padded(latin("BZh91AY&SY")), "compressed", /bunzip2/],
  "a 7z archive": [padded(latin("7z\xbc\xaf\x27\x1c")), "archive", /7z/],
  "a tar archive": [tar, "archive", /tar -xf/],
  "a zip archive": [padded(latin(`PK\x03\x04${"\0".repeat(26)}config.json{}`)), "archive", /zip archive/],
  "a PyTorch checkpoint": [serializeTorchFile(tensors), "torch", /PyTorch checkpoint.*convert it to safetensors/],
  "a NumPy archive": [padded(latin(`PK\x03\x04${"\0".repeat(26)}arr_0.npy`)), "numpy", /npz/],
  "a spreadsheet": [padded(latin(`PK\x03\x04${"\0".repeat(26)}[Content_Types].xml`)), "document", /office document/],
  "a pickle": [padded(latin("\x80\x02}q\x00X\x05")), "pickle", /Python pickle/],
  "a NumPy array": [padded(latin("\x93NUMPY\x01\0v\0{'descr'")), "numpy", /NumPy array/],
  "a PNG image": [padded(latin("\x89PNG\r\n\x1a\n\0\0\0\rIHDR")), "image", /PNG/],
  "a JPEG image": [padded(latin("\xff\xd8\xff\xe0\0\x10JFIF")), "image", /JPEG/],
  "a WebP image": [padded(latin("RIFF\x24\0\0\0WEBPVP8 ")), "image", /WebP/],
  "a PDF document": [utf8("%PDF-1.7\n"), "document", /PDF/],
  "a GGUF file": [padded(latin("GGUF\x03\0\0\0")), "gguf", /GGUF file \(llama.cpp\).*safetensors/],
  "a GGML file": [padded(latin("tjgg\x03\0\0\0")), "gguf", /GGML/],
  "a parquet file": [padded(latin("PAR1\x15\x04")), "parquet", /parquet/],
  "an Arrow file": [padded(latin("ARROW1\0\0")), "table", /Arrow file/],
  "an SQLite database": [padded(latin("SQLite format 3\0")), "table", /SQLite/],
  "an HDF5 file": [padded(latin("\x89HDF\r\n\x1a\n")), "other-weights", /HDF5/],
  "a SentencePiece model": [padded(latin("\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02")), "sentencepiece", /tokenizer\.json/],
  "a program": [padded(latin("\x7fELF\x02\x01\x01")), "program", /ELF/],
  "what macOS puts beside a file": [padded(latin("\0\x05\x16\x07\0\x02\0\0Mac OS X")), "metadata", /macOS/],
  "UTF-16 with a mark": [latin('\xff\xfe{\0"\0'), "utf-16", /it is text in UTF-16: save it as UTF-8/],
  "UTF-16 without a mark": [latin('{\0"\0a\0"\0:\x001\0}\0'), "utf-16", /UTF-16/],
  "big-endian UTF-16 without a mark": [latin('\0{\0"\0a\0"\0:\x001\0}'), "utf-16", /UTF-16/],
  "UTF-32 with a mark": [latin("\xff\xfe\0\0{\0\0\0"), "utf-32", "it is text in UTF-32: save it as UTF-8"],
  "big-endian UTF-32 with a mark": [latin("\0\0\xfe\xff\0\0\0{"), "utf-32", /UTF-32/],
  "UTF-32 without a mark": [latin('{\0\0\0"\0\0\0a\0\0\0'), "utf-32", /UTF-32/],
  "big-endian UTF-32 without a mark": [latin('\0\0\0{\0\0\0"\0\0\0a'), "utf-32", /UTF-32/],
  "a safetensors file": [serializeSafetensors(tensors), "safetensors", "it is a safetensors file: it holds tensors"],
  JSON: [utf8('{"model_type": "llama"}'), "text", /text that begins with "{\\"model_type\\"/],
  "a licence": [
    utf8("MIT License\n\nCopyright …"),
    "text",
    'it is text that begins with "MIT License Copyright …": is this the file that was meant',
  ],
  "blank lines": [utf8(" \n\n"), "text", /blank text/],
};

describe("a file is recognised by its first bytes [T-C3]", () => {
  test.each(Object.entries(files))("%s", (_, [file, kind, says]) => {
    const found = describeFile(file, file.length);
    expect(found?.kind).toBe(kind);
    expect(found?.problem).toMatch(typeof says === "string" ? exactly(says) : says);
    expect(found?.problem).toContain(`it is ${found?.what}: `);
  });

  test("512 bytes are enough for each", () => {
    for (const [file, kind] of Object.values(files)) {
      expect(describeFile(file.subarray(0, 512), file.length)?.kind).toBe(kind);
      expect(describeFile(file, file.length, kind), "of the wanted kind").toBeUndefined();
    }
  });
});

test("a sound config, tokenizer, record or header is not taken for something else by its first bytes [T-C3]", () => {
  const texts = [
    '{"architectures": ["LlamaForCausalLM"]}',
    '[{"instruction": "<html>", "output": "error"}]',
    '{"message": ["a"], "instruction": "x"}',
    '{"messages": [{"role": "user", "content": "not found"}]}',
    `{"error": "a field of a long file", "pad": "${"x".repeat(5000)}"}`,
    "é".repeat(300), // two bytes each: the 512th byte is the end of one
    `x${"é".repeat(300)}`, // and here it is the middle of one
    "😀".repeat(200),
    "a/b and c/d, a sentence",
  ];
  for (const text of texts) expect(describeFile(utf8(text), utf8(text).length)?.kind).toBe("text");
  for (let bytes = 0; bytes < 256; bytes++) {
    const header = serializeSafetensors(new Map(), { pad: "x".repeat(bytes) });
    expect(describeFile(header, header.length)?.kind).toBe("safetensors");
  }
});

test("bytes that nothing is known of are not described", () => {
  const noise = Uint8Array.from({ length: 600 }, (_, i) => (i * 197 + 131) % 251);
  expect(describeFile(noise, noise.length)).toBeUndefined();
});

test("a file on disk is described without waiting for a pipe [T-C3, T-B11]", async () => {
  const at = (name: string) => join(scratch, name);
  writeFileSync(at("pointer"), lfs("4938985352"));
  execFileSync("mkfifo", [at("pipe")]);
  mkdirSync(at("folder"));
  expect((await describeFileAt(at("pointer")))?.problem).toContain("4.9 GB");
  for (const name of ["pipe", "folder", "nothing"]) expect(await describeFileAt(at(name))).toBeUndefined();
});
