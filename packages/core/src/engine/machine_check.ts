/** What an engine finds of this machine when it is asked whether it works here: the lines of `zerogate doctor`. */
import type { Engine } from "./engine.ts";

/** What was found of one thing: an engine, or a GPU. */
export interface MachineCheck {
  /** What was asked: `engine cpu`, `GPU 0`. */
  readonly name: string;
  /** False if something is broken; an engine that is not there is no fault. */
  readonly ok: boolean;
  /** What is there, in a sentence. */
  readonly found: string;
  /** The same in a phrase, for one row of a screen. @default `found` */
  readonly brief?: string;
  /** What to type or do about it. @default nothing */
  readonly advice?: string;
}

/** Lets an engine multiply: one that starts but computes nonsense is worse than none. Returns what is wrong, if anything. */
export async function wrongProduct(engine: Engine): Promise<string | undefined> {
  const bytes = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  const weight = engine.matrix({ dtype: "f32", shape: [2, 2], bytes });
  const y = await engine.arena(() =>
    engine.read(engine.linear(engine.upload(Float32Array.of(5, 6)), weight, { T: 1 })),
  );
  return y[0] === 17 && y[1] === 39 ? undefined : `computes ${y.join(", ")}, not 17, 39`;
}

/**
 * Opens an engine in this process and lets it multiply.
 *
 * @param about what else is found, behind its name.
 * @param advice what to type if it does not open.
 */
export async function checkEngine(
  name: string,
  open: () => Engine | Promise<Engine>,
  about = "",
  advice?: string,
): Promise<MachineCheck> {
  try {
    const engine = await open();
    const wrong = await wrongProduct(engine);
    const works = `${engine.name} works`;
    return { name, ok: wrong === undefined, found: wrong ?? `${works}${about}`, brief: wrong ?? works };
  } catch (error) {
    return { name, ok: false, found: (error as Error).message, ...(advice !== undefined && { advice }) };
  }
}
