/**
 * The files of an adapter folder that hold trained parts, for adapters of any kind: each part in the file and under the name
 * that its table says.
 */
import { join } from "node:path";
import { compareTensors, partTensors, readParts, reportProblems } from "../adapter/files/tensors.ts";
import { type ParameterTable, tableLength } from "../adapter/parameters.ts";
import type { DType } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import { serializeSafetensors } from "../formats/safetensors.ts";
import { withSafetensors } from "./adapter_weights.ts";
import { checkAdapterParts } from "./folder_parts.ts";
import { folderFile } from "./model_folder.ts";

/** How the parts of an adapter are written to files. */
export interface PartFileOptions {
  /** Of the numbers in the files; f32 loses nothing. @default "f32" */
  readonly dtype?: DType;
  /** What the metadata of a file says, by file. @default `{ format: "pt" }` */
  readonly metadata?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** The files as bytes, by name. Throws an `InputError` if a number is not finite in `dtype`. */
export function partFiles(
  table: ParameterTable,
  params: Float32Array,
  { dtype, metadata = {} }: PartFileOptions = {},
): Map<string, Uint8Array> {
  return new Map(
    [...partTensors(table, params, dtype)].map(([file, tensors]) => [
      file,
      serializeSafetensors(tensors, metadata[file] ?? { format: "pt" }),
    ]),
  );
}

/**
 * Reads the parts of a table from the files of a folder. Throws an `InputError` that lists every file and every tensor that is
 * missing, surplus, of another shape or not finite.
 */
export async function readPartFiles(folder: string, table: ParameterTable): Promise<Float32Array> {
  const files = [...new Set(table.map(({ file }) => file))];
  await checkAdapterParts(folder, new Set(files));
  const params = new Float32Array(tableLength(table));
  const problems: string[] = [];
  for (const file of files) {
    const found = await folderFile(folder, file);
    if (!found) {
      problems.push(`${file} is missing`);
      continue;
    }
    const parts = table.filter((part) => part.file === file);
    await withSafetensors(found, async (stored) => {
      const wrong = reportProblems(compareTensors(stored.entries, parts), true);
      problems.push(...wrong.map((problem) => `${file}: ${problem}`));
      if (wrong.length === 0) readParts(await stored.read(), parts, params, join(folder, file));
    });
  }
  if (problems.length > 0) throw new InputError(`Cannot load the adapter in ${folder}`, problems);
  return params;
}
