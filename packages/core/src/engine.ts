/** `@zerogate/core/engine`: the operations that an engine computes, what it says of itself, and pieces of one. */

// The interface, and what is handed to it.

export type { DeltaPast } from "./engine/arrays.ts";
export type { DeltaOperations, GateOperations } from "./engine/delta_operations.ts";
export type {
  AttentionSize,
  DeltaInput,
  DeltaSize,
  DeltaWeights,
  DeviceArray,
  DType,
  Engine,
  FileTensor,
  HostTensor,
  KvCache,
  LinearOrder,
  LossCell,
  Matrix,
  PromptSet,
  PromptSetGradient,
  RowRange,
  ScaledDType,
  WeightDType,
} from "./engine/engine.ts";
export type { TuningOperations } from "./engine/tuning_operations.ts";

// How an engine describes itself.

export type {
  Compute,
  DeviceInfo,
  EngineDescription,
  EngineRequest,
  EngineSetup,
  EngineTraits,
} from "./engine/description.ts";
export { checkEngine, type MachineCheck, wrongProduct } from "./engine/machine_check.ts";
export { baseBytes, linearMapCount } from "./model/hf_names.ts";
export type { AdamWArrays, AdamWUpdate } from "./optim/adamw.ts";

// Operations as a table, and an engine made of it.

export { type FlatCompiler, type FlatRun, type FlatValues, flatEngine, lengthOf } from "./engine/flat.ts";
export type {
  FlatName,
  FlatOperation,
  OperationName,
  RowList,
  Shape,
  Sizes,
  SpecialOperation,
} from "./engine/operation_rows.ts";
export { flatOperations } from "./engine/operations.ts";
export { specialOperations } from "./engine/special_operations.ts";

// Pieces of an engine.

export { type Arena, type ArrayStore, createArena } from "./engine/arena.ts";
export { cancellable } from "./engine/cancellable.ts";
export { checkDelta, deltaStateLength, deltaWidths } from "./engine/delta_size.ts";
export { cellsOfLoss } from "./engine/loss_cells.ts";
export { checkPromptSets } from "./engine/prompt_sets.ts";
export { type RowGroup, rowGroups } from "./engine/row_groups.ts";
export { gatedDeltaBackward, gatedDeltaForward } from "./kernels/gated_delta.ts";
export { ADDEND_LIMIT } from "./sum/fixed_point.ts";

// Numbers of other widths.

export { narrow, widen } from "./formats/dtype.ts";
export { dequantize, dtypeOfStorage, isScaled, quantize, tensorBytes } from "./formats/scaled.ts";
