/** Who makes memory: threads need it shared, a browser page may have none that is. */

/** Returns this many zeroed bytes, for example `(bytes) => new SharedArrayBuffer(bytes)`. */
export type Allocate = (bytes: number) => ArrayBufferLike;

/** Memory of this thread alone. */
export const ownMemory: Allocate = (bytes) => new ArrayBuffer(bytes);
