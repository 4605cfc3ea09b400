/** Lets errors keep their class between threads: Comlink itself passes name, message and stack only. */
import { decodeError, type EncodedError, encodeError } from "@zerogate/core/training";
import { type TransferHandler, transferHandlers } from "comlink";

/** Replaces Comlink's handler for thrown values, in this thread. Both ends need it; calling it again changes nothing. */
export function keepErrorClasses(): void {
  const builtIn = transferHandlers.get("throw");
  if (!builtIn) throw new TypeError('Cannot pass errors between threads: Comlink has no "throw" handler');
  const handler: TransferHandler<{ value: unknown }, EncodedError> = {
    canHandle: (value): value is { value: unknown } => builtIn.canHandle(value),
    serialize: ({ value }) => [encodeError(value), []],
    deserialize: (encoded) => {
      throw decodeError(encoded);
    },
  };
  transferHandlers.set("throw", handler);
}
