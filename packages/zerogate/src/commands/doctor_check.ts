/** What `zerogate doctor` finds of one thing, and the question that it asks every engine. */
import type { Engine } from "@zerogate/core/engine";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
  /** The same in a phrase, for one row of a screen. */
  readonly brief?: string;
  /** What to type or do about it. */
  readonly advice?: string;
}

/** Lets an engine multiply: one that starts but computes nonsense is worse than none. Undefined where it is right. */
export async function wrongProduct(engine: Engine): Promise<string | undefined> {
  const bytes = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  const weight = engine.matrix({ dtype: "f32", shape: [2, 2], bytes });
  const y = await engine.arena(() =>
    engine.read(engine.linear(engine.upload(Float32Array.of(5, 6)), weight, { T: 1 })),
  );
  return y[0] === 17 && y[1] === 39 ? undefined : `computes ${y.join(", ")}, not 17, 39`;
}
