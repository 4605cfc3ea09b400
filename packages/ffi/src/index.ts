/** Public entry of @zerogate/ffi. */
export { type Library, type LibraryOptions, openLibrary } from "./library.ts";
export type { Address, NativeFunction, NativeType, Signature } from "./native_types.ts";
