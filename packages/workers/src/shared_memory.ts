/** Memory that the threads of this process share. */
import type { Allocate } from "@zerogate/core";

/** What pools need of weights and parameters: `loadWeights(folder, config, { weightDtypes, allocate: sharedMemory })`. */
export const sharedMemory: Allocate = (bytes) => new SharedArrayBuffer(bytes);
