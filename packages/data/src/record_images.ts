/**
 * Images of records: `image` is a path or a list of paths, below the folder of the data file or another that the user names.
 * Nothing is decoded here.
 */
import { InputError } from "@zerogate/core";
import { imagePath } from "@zerogate/core/node";
import { nonFinite } from "./json_values.ts";
import { addProblem, type Place, type ProblemList, quote, type RecordFault } from "./record_problems.ts";

/** The images of one record, in the order of the record. */
export interface RecordImages {
  /** Index among the records that were read. */
  readonly record: number;
  readonly place: Place;
  /** The folder that the paths must stay in. */
  readonly root: string;
  /** As the record names them; at least one. */
  readonly paths: readonly string[];
}

/** More images than any context has room for. */
const MAX_IMAGES = 64;
const MAX_PATH_CHARACTERS = 4096;
const expected = "a path, a list of paths, or nothing";

/** Reads a record's field `image`. Some exporters write null, an empty text or NaN for "no image". */
export function parseImages(value: unknown): { readonly paths: readonly string[] } | { readonly fault: RecordFault } {
  if (value === undefined || value === null || value === "" || nonFinite(value) !== undefined) return { paths: [] };
  const paths: readonly unknown[] = Array.isArray(value) ? value : [value];
  const fault = (found: string, needed = expected) => ({ fault: { field: "image", found, expected: needed } });
  if (paths.length > MAX_IMAGES) return fault(`${paths.length} images`, `at most ${MAX_IMAGES}`);
  for (const path of paths) {
    if (typeof path !== "string") return fault(Array.isArray(value) ? `a list with ${kindOf(path)}` : kindOf(path));
    if (path.trim() === "") return fault("an empty path");
    if (path.length > MAX_PATH_CHARACTERS) {
      return fault(`a path of ${path.length} characters`, `at most ${MAX_PATH_CHARACTERS}`);
    }
  }
  return { paths: paths as readonly string[] };
}

/** Says why images cannot be used that lead out of their folder, are URLs or are not there, by index; the others may still be broken. */
export async function findMissingImages(images: readonly RecordImages[]): Promise<Map<number, ImageFault>> {
  const faults = new Map<number, ImageFault>();
  for (const [index, { root, paths }] of images.entries()) {
    for (const path of paths) {
      try {
        await imagePath(root, path);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        faults.set(index, { path, reason: error.problems.join() });
        break;
      }
    }
  }
  return faults;
}

/** Why an image of a record cannot be used. */
export interface ImageFault {
  /** As the record names it. */
  readonly path: string;
  readonly reason: string;
}

/** Adds the faults to a list of problems; `faults` has the index of the record's entry in `images`. */
export function addImageProblems(
  list: ProblemList,
  images: readonly RecordImages[],
  faults: ReadonlyMap<number, ImageFault>,
): void {
  for (const [index, { path, reason }] of faults) {
    const image = images[index];
    if (image === undefined) continue;
    const found = `${quote(path)} (${reason})`;
    const kind = reason.replaceAll(path, "");
    addProblem(list, image.place, { kind, field: "image", found, expected: `an image below ${image.root}` });
  }
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  return value === null ? "null" : `a value of type ${typeof value}`;
}
