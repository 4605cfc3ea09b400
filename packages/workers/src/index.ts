/** `@zerogate/workers`: one thread or process per device, cells dealt to whoever is free, sums that do not depend on who did what. */
export type { CreateEngine, DeviceSetup, EngineModule, Generated, LossSum, WeightFolder } from "./device_api.ts";
export type { DeviceEvent } from "./device_event.ts";
export {
  addLosses,
  checkStepSum,
  type DevicePool,
  type DevicePoolOptions,
  type EvaluateJob,
  type GenerateAllJob,
  type Isolation,
  labelledTokensOf,
  openDevices,
  type ShareSum,
  type StepJob,
  type StepSum,
} from "./device_pool.ts";
export { description as referenceDescription, referenceEngine } from "./reference_engine.ts";
