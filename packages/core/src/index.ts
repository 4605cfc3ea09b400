/** `@zerogate/core`: numerics and formats. Starts nothing, prints nothing, needs no Node built-in. */
export { type PartDistance, partDistances, weightedSum } from "./adapter/compare.ts";
export {
  type AdaptionPromptConfig,
  adaptionPromptConfig,
  parseAdaptionPromptConfig,
  serializeAdaptionPromptConfig,
  type TaskType,
  taskTypes,
  validateAdaptionPromptConfig,
} from "./adapter/files/config.ts";
export {
  convertGates,
  type GateConversion,
  type GateReduction,
  gateReductions,
  type LayerGates,
} from "./adapter/files/convert_gates.ts";
export {
  type ForeignDialect,
  foreignDialects,
  foreignModules,
  foreignTensors,
  type ReadDialectOptions,
  readForeignAdapter,
} from "./adapter/files/dialects.ts";
export {
  type AdapterModule,
  adapterMetadata,
  adapterTensors,
  checkAdapterKeys,
  compareAdapterKeys,
  declaredGate,
  declaredOutputBias,
  readAdapterTensors,
} from "./adapter/files/peft.ts";
export {
  type BosRule,
  bosRules,
  isSameTemplate,
  type PromptFormat,
  type Template,
  templateProblems,
} from "./adapter/files/prompt_format.ts";
export type { AdapterReport } from "./adapter/files/tensors.ts";
export {
  adapterLayout,
  adapterLayoutOn,
  effectiveGates,
  type LayerGate,
  layerParts,
} from "./adapter/kinds/adaption_prompt.ts";
export { type AdapterKind, type AdapterState, type BoundGradient, layoutOf } from "./adapter/kinds/kind.ts";
export {
  type AdaptedBase,
  type AdapterLayout,
  type AdapterShape,
  adaptedBase,
  backwardLayers,
  moduleNames,
  type OutputBias,
} from "./adapter/layout.ts";
export {
  type AdapterChoice,
  AdaptionPromptModel,
  type ChosenText,
  trainableLine,
} from "./adapter/model.ts";
export type { Adapter, NewAdapterOptions, TrainedAdapter } from "./adapter/new_adapter.ts";
export {
  type DecayPolicy,
  groupCount,
  initParameters,
  type ParameterRange,
  type ParameterTable,
  type PartInit,
  parameterTable,
  partAt,
  partLength,
  partNumbers,
  type TrainedPart,
  tableLength,
  trainedLayers,
} from "./adapter/parameters.ts";
export { effectiveGate, type GateActivation, type GateSharing, gateGradient } from "./adapter/parts/gate.ts";
export { type Cell, packCell, type TokenSet } from "./cell/tokens.ts";
export { decodeError, type EncodedError, encodeError } from "./encoded_error.ts";
export { type Arena, type ArrayStore, createArena } from "./engine/arena.ts";
export { cancellable } from "./engine/cancellable.ts";
export type {
  Compute,
  DeviceInfo,
  EngineDescription,
  EngineRequest,
  EngineSetup,
  EngineTraits,
} from "./engine/description.ts";
export type {
  AttentionSize,
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
export { type FlatCompiler, type FlatRun, type FlatValues, flatEngine, lengthOf } from "./engine/flat.ts";
export { cellsOfLoss } from "./engine/loss_cells.ts";
export {
  type FlatName,
  type FlatOperation,
  flatOperations,
  type OperationName,
  type RowList,
  type Shape,
  type Sizes,
  type SpecialOperation,
  specialOperations,
} from "./engine/operations.ts";
export { checkPromptSets } from "./engine/prompt_sets.ts";
export { createReferenceEngine } from "./engine/reference.ts";
export {
  DamagedError,
  DeadlyCellError,
  DeviceDiedError,
  EngineLostError,
  type ErrorCode,
  InputError,
  isZerogateError,
  RankLateError,
  StepRefusedError,
  ZerogateError,
} from "./errors.ts";
export { type ByteSource, memorySource } from "./formats/byte_source.ts";
export { narrow, widen } from "./formats/dtype.ts";
export { DESCRIBED_BYTES, describeFile, type FileDescription } from "./formats/file_kind.ts";
export type { FileKind } from "./formats/file_signatures.ts";
export { formatBytes } from "./formats/format_bytes.ts";
export { dequantizeRowsFp8, quantizeRowsFp8 } from "./formats/fp8.ts";
export { dequantizeRows, int8Bytes, int8Rows, quantizeRows } from "./formats/int8.ts";
export type { PickleValue, TorchStorage, TorchTensor } from "./formats/pickle_values.ts";
export {
  elementBytes,
  parseSafetensors,
  parseSafetensorsHeader,
  type SafetensorsHeader,
  serializeSafetensors,
  type Tensor,
  type TensorDType,
  type TensorEntry,
} from "./formats/safetensors.ts";
export type { ZipEntry } from "./formats/stored_zip.ts";
export { checkNesting, isCutOff, parsePythonJson, parseStrictJson } from "./formats/strict_json.ts";
export {
  openTorchFile,
  readTorchTensors,
  serializeTorchFile,
  type TorchFile,
  tensorsOf,
} from "./formats/torch_file.ts";
export type { BatchEvent, BatchOptions, FinishReason, TextOptions, TextRequest } from "./generate/batch.ts";
export { type GenerateOptions, generate, generateBatch, openSession, type Session } from "./generate/generate.ts";
export { type SamplingOptions, sampleToken } from "./generate/sample.ts";
export { type Decoder, streamText } from "./generate/stream_text.ts";
export type { ModelConfig, RopeScaling } from "./model/config.ts";
export { createModel, type DecoderLayer, type DecoderModel } from "./model/decoder.ts";
export { architectureOf } from "./model/families/families.ts";
export type { Architecture } from "./model/families/family.ts";
export { type FittedGate, fitGates } from "./model/fit_gates.ts";
export {
  type CellGradient,
  type CellTask,
  cellGradient,
  cellGradients,
  cellLosses,
  cellScores,
  sum,
} from "./model/gradient.ts";
export { parseModelConfig } from "./model/hf_config.ts";
export { linearMapCount, parameterCount } from "./model/hf_names.ts";
export { mixedLogits, oneSequence, packSequences, tokenLogits } from "./model/logits.ts";
export type { PackedTokens } from "./model/pass.ts";
export { openPromptCache, type PromptCache, type PromptLease } from "./model/prompt_cache.ts";
export type { AdapterPrompts, LayerPrompt, SequencePrompts } from "./model/prompts.ts";
export { type SampleCost, trainingCost } from "./model/sample_cost.ts";
export {
  imageBytes,
  type LayerWeight,
  type WeightImage,
  type WeightPlace,
  type WeightStorage,
  weightNames,
  weightOf,
} from "./model/weights.ts";
export {
  type AdamWArrays,
  type AdamWOptions,
  type AdamWState,
  type AdamWUpdate,
  adamWStep,
  createAdamWState,
  type UpdateRange,
  updateRanges,
} from "./optim/adamw.ts";
export { clipByGlobalNorm, globalNorm } from "./optim/clip.ts";
export { effectiveLearningRate, type LearningRateSchedule, learningRate } from "./optim/schedule.ts";
export { normal, randomBits, uniform } from "./random.ts";
export { shellQuoted } from "./shell_words.ts";
export { type BadCell, describeBadNumbers } from "./sum/bad_numbers.ts";
export {
  ADDEND_LIMIT,
  addFixedPoint,
  createFixedPointSum,
  type FixedPointSum,
  readFixedPoint,
} from "./sum/fixed_point.ts";
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
} from "./sum/slot.ts";
