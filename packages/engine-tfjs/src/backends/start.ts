/** Making a backend the current one of this thread. */
import { InputError } from "@zerogate/core";
import type { TfjsBackend } from "../names.ts";
import type { Tf } from "../tf.ts";

/** The backend itself, for the few things of it that are used. @throws InputError if it does not start. */
export async function start(tf: Tf, id: string, backend: TfjsBackend): Promise<unknown> {
  tf.enableProdMode(); // otherwise it prints advertisements
  let started = false;
  let reason = "TensorFlow.js says no more";
  try {
    started = await tf.setBackend(id);
    await tf.ready();
  } catch (error) {
    reason = (error as Error).message;
  }
  if (!started) throw new InputError(`Cannot use the engine tfjs:${backend}`, `its backend does not start: ${reason}`);
  void tf.setBackend(id); // at once, now that it is there: another one may have been started meanwhile
  return tf.backend();
}
