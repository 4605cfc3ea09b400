/** What a file is, by its first bytes: only raster formats reach a decoder. */

/** Formats that are decoded, by sharp's names for them. */
export type ImageKind = "jpeg" | "png" | "webp" | "gif" | "tiff" | "avif";

/** How many bytes `imageKind` looks at. */
const HEAD_BYTES = 64;

type Test = (head: string) => boolean;
const begins =
  (...texts: readonly string[]): Test =>
  (head) =>
    texts.some((text) => head.startsWith(text));
const matches =
  (expression: RegExp): Test =>
  (head) =>
    expression.test(head);
/** A box `ftyp` whose first brand, or one of those that it is compatible with, is this. */
const isBrand =
  (brand: RegExp): Test =>
  (head) =>
    head.startsWith("ftyp", 4) && (head.slice(8, 32).match(/[^]{4}/g) ?? []).some((name) => brand.test(name));

const kinds: readonly (readonly [ImageKind, Test])[] = [
  ["jpeg", begins("\xff\xd8\xff")],
  ["png", begins("\x89PNG\r\n\x1a\n")],
  ["webp", (head) => head.startsWith("RIFF") && head.startsWith("WEBP", 8)],
  ["gif", begins("GIF87a", "GIF89a")],
  ["tiff", begins("II*\0", "MM\0*", "II+\0", "MM\0+")],
  ["avif", isBrand(/^avi[fs]$/)],
];

const refused: readonly (readonly [name: string, Test])[] = [
  ["a BMP", begins("BM")],
  ["a HEIC", isBrand(/^(?:hei|hev|mif|msf)/)],
  ["a PDF", begins("%PDF")],
  ["a PostScript file", begins("%!PS")],
  ["a JPEG XL", begins("\0\0\0\x0cJXL ", "\xff\x0a")],
  ["a JPEG 2000", begins("\0\0\0\x0cjP  ", "\xff\x4f\xff\x51")],
  ["an icon (ICO)", begins("\0\0\x01\0", "\0\0\x02\0")],
  ["a Photoshop file", begins("8BPS")],
  ["a web page", matches(/^\s*<(?:!doctype )?html/i)],
  ["an SVG or another XML file", matches(/^\s*<(?:\?xml|svg|!doctype svg|!--)/i)],
  ["a Git LFS pointer (run git lfs pull)", begins("version https://git-lfs")],
  ["a gzip file", begins("\x1f\x8b")],
  ["a zip file", begins("PK\x03\x04")],
];

/** The kind of an image, or words for what else it is. */
export function imageKind(bytes: Uint8Array): { readonly kind: ImageKind } | { readonly other: string } {
  const head = Buffer.from(bytes.subarray(0, HEAD_BYTES)).toString("latin1");
  const kind = kinds.find(([, test]) => test(head))?.[0];
  if (kind !== undefined) return { kind };
  if (bytes.length === 0) return { other: "empty" };
  return { other: refused.find(([, test]) => test(head))?.[0] ?? "no image that is known" };
}
