/** `@zerogate/core/training`: what a training program is made of: tables of parts, AdamW, exact sums over workers. */

// Tables of trained parts.

export { type AdapterKind, type BoundGradient, layoutOf } from "./adapter/kinds/kind.ts";
export { backwardLayers } from "./adapter/layout.ts";
export {
  type DecayPolicy,
  groupCount,
  type ParameterRange,
  type PartInit,
  parameterTable,
  partAt,
  partLength,
  tableLength,
  trainedLayers,
} from "./adapter/parameters.ts";
export { effectiveGate, gateGradient } from "./adapter/parts/gate.ts";

// What is trained for images.

export { VISION_FILE } from "./adapter/parts/projection.ts";
export { imageQueries } from "./adapter/parts/visual_queries.ts";

// The optimizer, in float64.

export {
  type AdamWOptions,
  type AdamWState,
  adamWStep,
  createAdamWState,
  type UpdateRange,
  updateRanges,
} from "./optim/adamw.ts";
export { plainArithmetic, type StepArithmetic } from "./optim/arithmetic.ts";
export { clipByGlobalNorm, globalNorm } from "./optim/clip.ts";
export { effectiveLearningRate, type LearningRateSchedule, learningRate } from "./optim/schedule.ts";

// Sums of gradients that do not depend on their order.

export { type BadCell, describeBadNumbers } from "./sum/bad_numbers.ts";
export { addFixedPoint, createFixedPointSum, type FixedPointSum, readFixedPoint } from "./sum/fixed_point.ts";
export {
  addCell,
  addSlot,
  type BadNumbers,
  type CellSum,
  checkTail,
  clearSlot,
  createSlot,
  gradientSum,
  type LimitRange,
  limitRanges,
  type Slot,
  slotTotals,
  tailOf,
} from "./sum/slot.ts";

// Linear maps of the host in float64: what adapters compute of images.

export {
  type WideArithmetic,
  type WideMap,
  type WideSize,
  wideLinear,
  wideLinearBackward,
} from "./kernels/wide_linear.ts";

// Work: what a cell costs, and numbers from a seed.

export { sum } from "./model/gradient.ts";
export {
  type DeltaNumbers,
  deltaNumbers,
  keptForNorms,
  layersOfKinds,
  mlpWidth,
  type NormNumbers,
  type SampleCost,
  trainingCost,
} from "./model/sample_cost.ts";
export { normal, randomBits, uniform } from "./random.ts";

// Errors between threads and processes.

export { decodeError, type EncodedError, encodeError } from "./encoded_error.ts";
