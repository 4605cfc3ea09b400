/** Captions of photos: COCO's annotations, and tables of files and captions as LLaMA-Adapter V2 was trained on. */
import { isObject } from "./record.ts";
import { quote, type RecordFault } from "./record_problems.ts";

/** What a form of data makes of one of its items: a record as Alpaca has it, or why there is none. */
export type FormItem = { readonly item: Readonly<Record<string, unknown>> } | { readonly fault: RecordFault };

/** What LLaMA-Adapter V2 asks for. */
const INSTRUCTION = "Generate caption of this image";

/** Whether this is an object of COCO's captions: images, and annotations with captions. */
export function isCocoCaptions(
  value: unknown,
): value is { readonly images: unknown[]; readonly annotations: unknown[] } {
  if (!isObject(value)) return false;
  const { images, annotations } = value;
  return (
    Array.isArray(images) && Array.isArray(annotations) && annotations.some((one) => isObject(one) && "caption" in one)
  );
}

/** A record for each caption, in the order of the annotations. */
export function cocoItems({
  images,
  annotations,
}: {
  readonly images: unknown[];
  readonly annotations: unknown[];
}): FormItem[] {
  const files = new Map<unknown, unknown>();
  for (const image of images) if (isObject(image)) files.set(image["id"], image["file_name"]);
  return annotations.map((annotation): FormItem => {
    if (!isObject(annotation)) return { fault: { found: typeof annotation, expected: "an annotation with a caption" } };
    const { image_id, caption } = annotation;
    const name = files.get(image_id);
    if (typeof name !== "string" || name === "") {
      const found = `${quote(String(image_id))}, of which images has no file_name`;
      return { fault: { field: "image_id", kind: "no image", found, expected: "the id of an image" } };
    }
    return captioned(name, caption);
  });
}

/** The record of a line of a table: a path, a tab and a caption. */
export function tableItem(line: string): FormItem {
  const [path = "", caption, ...more] = line.split("\t");
  if (caption === undefined || more.length > 0) {
    const found = `${line.split("\t").length} columns`;
    return { fault: { kind: "columns", found, expected: "a path, a tab and a caption" } };
  }
  return captioned(path, caption);
}

function captioned(image: string, caption: unknown): FormItem {
  if (typeof caption !== "string" || caption.trim() === "") {
    const found = typeof caption === "string" ? "an empty text" : `a value of type ${typeof caption}`;
    return { fault: { field: "caption", found, expected: "a text that is not empty" } };
  }
  return { item: { instruction: INSTRUCTION, output: caption.trim(), image } };
}
