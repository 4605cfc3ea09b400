/** Engine module for tests: the reference engine, named after the environment of its process. */
import { createReferenceEngine } from "@zerogate/core";

export function createEngine(_, device) {
  return { ...createReferenceEngine(), name: `sees ${process.env.CUDA_VISIBLE_DEVICES} as device ${device}` };
}
