/** Public entry of @zerogate/ffi. */
export { addressOf, type Library, type LibraryOptions, memoryAt, openLibrary } from "./library.ts";
export type { Address, NativeFunction, NativeType, Signature } from "./native_types.ts";
