/** What needs the file system: model folders, adapter folders, writing that survives a crash. */
export { type LoadedAdapter, loadAdapter, type SavedAdapter, saveAdapter } from "./node/adapter_files.ts";
export { publishDirectory, verifyDirectory, writeFileAtomic } from "./node/atomic.ts";
export { hashFile } from "./node/hash.ts";
export { baseHash, type LoadOptions, loadWeights, readModelConfig } from "./node/model_files.ts";
