/** sharp, which who wants images installs: its absence is an error with the line to type. */
import { InputError } from "@zerogate/core";
import type Sharp from "sharp";

/**
 * Makes what loads sharp once. It throws an `InputError` if sharp is not installed, and tries again the next time.
 *
 * @param load imports it
 */
export function sharpLoader(load: () => Promise<{ default: typeof Sharp }>): () => Promise<typeof Sharp> {
  let loaded: Promise<typeof Sharp> | undefined;
  return () => {
    loaded ??= load().then(
      (module) => module.default,
      (cause: unknown) => {
        loaded = undefined;
        const isAbsent = cause instanceof Error && "code" in cause && cause.code === "ERR_MODULE_NOT_FOUND";
        const found = isAbsent ? "sharp is not installed" : `sharp does not start here (${firstLine(cause)})`;
        const needed = "needed is sharp 0.33 or later: npm install sharp";
        throw new InputError(NO_DECODER, `${found}, ${needed}`, { cause });
      },
    );
    return loaded;
  };
}

/** What could not be done without sharp. */
export const NO_DECODER = "Cannot decode images";

/** Loads sharp. */
export const loadSharp: () => Promise<typeof Sharp> = sharpLoader(() => import("sharp"));

/** What an error says, on one line of at most 200 characters. */
export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.trim().split("\n")[0] ?? "").slice(0, 200);
}

/** Makes sure that images can be decoded here. @throws InputError with what to type if sharp is not installed */
export async function checkDecoder(): Promise<void> {
  await loadSharp();
}
