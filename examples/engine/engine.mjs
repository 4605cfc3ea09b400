/** An engine of your own: the reference engine, but for a SwiGLU that multiplies in another order. See docs/engines.md. */
import { createReferenceEngine } from "@zerogate/core";

/** Workers call it, once each; core's engine.ts says what every operation returns. */
export function createEngine() {
  const engine = createReferenceEngine(); // its arrays are Float32Arrays
  const swiglu = (gateUp, { T, F }) =>
    engine.upload(
      Float32Array.from({ length: T * F }, (_, i) => {
        const gate = Math.floor(i / F) * 2 * F + (i % F);
        return (gateUp[gate + F] * gateUp[gate]) / (1 + Math.exp(-gateUp[gate]));
      }),
    );
  return { ...engine, name: "example", swiglu };
}

export const description = {
  names: ["example"],
  devices: () => [{ ordinal: 0, name: "this processor" }],
  traits: () => ({ computes: ["f32"], storages: ["as-is"], weightDtypes: ["f32"] }),
  setup: () => ({}),
};
