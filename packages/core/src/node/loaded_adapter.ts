/** An adapter as a caller gets it, whoever wrote its files. */
import type { AdaptionPromptConfig } from "../adapter/files/config.ts";
import type { PromptFormat } from "../adapter/files/prompt_format.ts";
import type { AdapterReport } from "../adapter/files/tensors.ts";
import type { SeenFeatures } from "../adapter/files/vision_config.ts";
import type { AdapterShape } from "../adapter/layout.ts";

/** An adapter from a folder or a file, for a base that is known. */
export interface LoadedAdapter {
  readonly config: AdaptionPromptConfig;
  readonly shape: AdapterShape;
  readonly params: Float32Array;
  /** The file's further metadata, as `saveAdapter` takes it: `format` and what `shape` says are left out. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Undefined if the folder does not say. */
  readonly promptFormat: PromptFormat | undefined;
  /** What its images become; undefined for a text adapter. */
  readonly seen: SeenFeatures | undefined;
  /** Every tensor of the file and every one that should be there. */
  readonly report: AdapterReport;
  /** What was ignored or assumed, one sentence each. */
  readonly warnings: readonly string[];
}
