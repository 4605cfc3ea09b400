/** `@zerogate/core/formats`: files of adapters and models, byte by byte, from any source. */

// Tensors: safetensors and torch.

export { type ByteSource, memorySource } from "./formats/byte_source.ts";
export { type GgufHeader, type GgufTensor, parseGgufHeader } from "./formats/gguf.ts";
export { decodeBlocks } from "./formats/gguf_blocks.ts";
export type { GgmlType } from "./formats/gguf_types.ts";
export type { GgufArray, GgufValue } from "./formats/gguf_values.ts";
export type { PickleValue, TorchStorage, TorchTensor } from "./formats/pickle_values.ts";
export {
  elementBytes,
  parseSafetensors,
  parseSafetensorsHeader,
  type SafetensorsHeader,
  serializeSafetensors,
  type Tensor,
  type TensorDType,
  type TensorEntry,
} from "./formats/safetensors.ts";
export type { ZipEntry } from "./formats/stored_zip.ts";
export {
  openTorchFile,
  placeTorchTensors,
  readTorchTensors,
  serializeTorchFile,
  type TorchFile,
  type TorchPlace,
  tensorsOf,
} from "./formats/torch_file.ts";

// Adapters in files: PEFT's names, and those of other programs.

export { baseProblems } from "./adapter/base_fit.ts";
export {
  type ForeignDialect,
  foreignDialects,
  foreignModules,
  foreignTensors,
  type ReadDialectOptions,
  readForeignAdapter,
} from "./adapter/files/dialects.ts";
export {
  type AdapterModule,
  adapterMetadata,
  adapterTensors,
  checkAdapterKeys,
  compareAdapterKeys,
  declaredOutputBias,
  readAdapterTensors,
} from "./adapter/files/peft.ts";
export { isSameTemplate, templateProblems } from "./adapter/files/prompt_format.ts";
export type { AdapterReport } from "./adapter/files/tensors.ts";
export {
  parseVisionConfig,
  type SeenFeatures,
  type SeenTower,
  serializeVisionConfig,
  type VisionConfig,
} from "./adapter/files/vision_config.ts";
export { adapterLayoutOn } from "./adapter/kinds/adaption_prompt.ts";
export { moduleNames } from "./adapter/layout.ts";
export { declaredSettings } from "./adapter/settings.ts";

// Weights of a model in memory.

export { weightSources } from "./model/hf_names.ts";
export { imageBytes, type LayerWeight, type WeightPlace, weightNames, weightOf } from "./model/weights.ts";

// JSON within bounds, and what a file is.

export { DESCRIBED_BYTES, describeFile, type FileDescription } from "./formats/file_kind.ts";
export type { FileKind } from "./formats/file_signatures.ts";
export { formatBytes } from "./formats/format_bytes.ts";
export { type HubCommit, hubCommitOf, isHubId } from "./formats/hub_name.ts";
export { checkNesting, isCutOff, parsePythonJson, parseStrictJson } from "./formats/strict_json.ts";
