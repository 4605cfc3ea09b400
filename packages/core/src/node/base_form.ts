/**
 * The forms in which a base lies on disk: the folder that transformers writes, or files that read as if they were one. Who opens
 * a base asks its form, and knows none of them.
 */
import type { FolderFile } from "./model_folder.ts";
import type { WeightFiles } from "./weight_files.ts";

/** What a base is read from. All of it throws an `InputError` for what cannot be used. */
export interface BaseForm {
  /** Reads what its config.json says, or would say; `path` is where that stands, for messages. */
  readConfig(): Promise<{ readonly json: unknown; readonly path: string }>;
  /** Reads what its generation_config.json says, an empty object without one. */
  readGeneration(): Promise<{ readonly json: unknown; readonly path: string }>;
  /** Finds the files of its weights; undefined if there are none, so that its config alone describes it. */
  findWeights(): Promise<WeightFiles | undefined>;
  /** The same; throws an `InputError` that says what is there instead. */
  requireWeights(): Promise<WeightFiles>;
  /** Files by which it is known beside those of its weights. */
  configFiles(): Promise<ReadonlyMap<string, FolderFile>>;
}
