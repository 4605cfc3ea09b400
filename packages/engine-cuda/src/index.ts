/** Public entry of @zerogate/engine-cuda. Workers import it by URL and call `createEngine`. */
export { description } from "./describe.ts";
export { type CudaEngine, type CudaEngineOptions, createEngine } from "./engine.ts";
export { planCell } from "./memory_plan.ts";
export { type GpuReport, gpuReports } from "./report.ts";
export { type GpuTest, testGpu } from "./self_test.ts";
