/** `@zerogate/engine-cpu`: core's Engine on the processor, in C++. */
export { type CpuReport, probe } from "./addon.ts";
export { description } from "./describe.ts";
export { type CpuEngine, type CpuEngineOptions, createEngine } from "./engine.ts";
export { addFixedPoint, wideLinear, wideLinearBackward } from "./host_arithmetic.ts";
export { steadyMemory } from "./steady_memory.ts";
export { createStepArithmetic } from "./step_arithmetic.ts";
export { createWasmEngine } from "./wasm_engine.ts";
