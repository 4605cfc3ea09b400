/** `@zerogate/workers`: one thread or process per device, cells dealt to whoever is free, sums that do not depend on who did what. */
export type {
  AdapterVersion,
  CreateEngine,
  DeviceJob,
  DeviceSetup,
  EngineModule,
  Generated,
  LossSum,
  ScoreRequest,
  WeightFolder,
} from "./device_api.ts";
export type { DeviceEvent } from "./device_event.ts";
export {
  addLosses,
  type DevicePool,
  type DevicePoolOptions,
  type Evaluation,
  type Generation,
  type Isolation,
  openDevices,
} from "./device_pool.ts";
export { processorWait, type Watched, watch } from "./patience.ts";
export { beatingEngine, beatOf, createPulse, type Pulse, type PulseReading, readPulse, signPulse } from "./pulse.ts";
export { description as referenceDescription, referenceEngine } from "./reference_engine.ts";
export { sharedMemory } from "./shared_memory.ts";
export {
  checkStepSum,
  labelledTokensOf,
  onlySum,
  type ShareSum,
  type Step,
  type StepShare,
  type StepSum,
} from "./step_sum.ts";
