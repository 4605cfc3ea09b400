/** `@zerogate/engine-tfjs`: core's Engine on TensorFlow.js. */
export { description } from "./describe.ts";
export { createEngine, type TfjsEngineOptions } from "./engine.ts";
export { type TfjsBackend, tfjsBackends } from "./names.ts";
export { type TfjsTraits, tfjsTraits } from "./traits.ts";
