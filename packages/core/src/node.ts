/** What needs the file system: model folders, adapter folders, writing that survives a crash. */
export { readAdapterFile, writeAdapterFile } from "./node/adapter_dialects.ts";
export {
  adapterFiles,
  type LoadAdapterOptions,
  loadAdapter,
  readAdapter,
  readPromptFormat,
  type SavedAdapter,
  type StoredAdapter,
  saveAdapter,
} from "./node/adapter_files.ts";
export {
  type AdapterSource,
  listAdapters,
  loadAdapters,
  type SaveAdaptersOptions,
  saveAdapters,
} from "./node/adapter_set.ts";
export { publishDirectory, verifyDirectory, writeFileAtomic } from "./node/atomic.ts";
export { isBaseAt, isGgufFile } from "./node/base_forms.ts";
export { type BaseIdentity, baseHash, baseStamp, cachedBaseHash, checkBase } from "./node/base_identity.ts";
export { describeFileAt } from "./node/described_file.ts";
export {
  makeFolder,
  moveEntry,
  removeEntry,
  syncFile,
  syncFolder,
  temporarySibling,
  writeNewFile,
} from "./node/durable.ts";
export { isCode, reason } from "./node/fs_errors.ts";
export { type GenerationConfig, readGenerationConfig, type UsualSampling } from "./node/generation_config.ts";
export { describeGguf, type GgufSummary, ggufParts, readGgufMetadata } from "./node/gguf_file.ts";
export { hashFile } from "./node/hash.ts";
export { imagePath } from "./node/image_path.ts";
export { type DeadLink, deadLink, refuseOutsideLinks } from "./node/links.ts";
export type { LoadedAdapter } from "./node/loaded_adapter.ts";
export { type ReadModelOptions, readModelConfig } from "./node/model_config.ts";
export { type LoadOptions, linearMapDtypes, loadWeights, weightBytes } from "./node/model_files.ts";
export { type FolderFile, folderFile, readFolderJson } from "./node/model_folder.ts";
export { type PartFileOptions, partFiles, readPartFiles } from "./node/part_files.ts";
export { notRegular, openRegularFile, readFully, readRegularFile, readRegularFileSync } from "./node/regular_file.ts";
export { type OpenedSeal, readSealedFile, type SealedKind, writeSealedFile } from "./node/sealed_file.ts";
export { packSamples, readSamples, type SampleTokens, type StoredTokens, sampleBlocks } from "./node/stored_tokens.ts";
export { listTensors, type TensorListing } from "./node/tensor_listing.ts";
export { type LoadedTower, type ReadTowerOptions, readTower } from "./node/tower_files.ts";
export { cacheFolder, homeFolder } from "./node/user_folders.ts";
