/** `@zerogate/core`: models, adapters, their files' settings and what they compute. Starts nothing, prints nothing, needs no Node built-in. */

// Models: a config, weights, an engine, and what they give together.

export type { Allocate } from "./allocate.ts";
export { createReferenceEngine } from "./engine/reference.ts";
export type { WeightStorage } from "./formats/scaled_format.ts";
export type { ModelConfig, RopeScaling } from "./model/config.ts";
export { createModel, type DecoderLayer, type DecoderModel } from "./model/decoder.ts";
export { architectureOf } from "./model/families/families.ts";
export type { Architecture } from "./model/families/family.ts";
export { parseModelConfig } from "./model/hf_config.ts";
export { parameterCount } from "./model/hf_names.ts";
export type { WeightImage } from "./model/weights.ts";

// Adapters: what is trained beside a model, and how PEFT configures it.

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
  type BosRule,
  bosRules,
  type ChatTemplate,
  isChatTemplate,
  type PromptFormat,
  type Template,
  type TextTemplate,
  type TurnRule,
  turnRules,
} from "./adapter/files/prompt_format.ts";
export { adapterLayout, effectiveGates, type LayerGate, layerParts } from "./adapter/kinds/adaption_prompt.ts";
export type { AdapterState } from "./adapter/kinds/kind.ts";
export {
  type AdaptedBase,
  type AdapterLayout,
  type AdapterShape,
  type Attachment,
  adaptableLayers,
  adaptedBase,
  defaultAdapterLayers,
  type MissingImage,
  type OutputBias,
  type ProjectionShape,
  type QueryShape,
  type ShapeChoice,
  type TunableMap,
  type TuningShape,
  type VisionShape,
} from "./adapter/layout.ts";
export type { Adapter, NewAdapterOptions, TrainedAdapter } from "./adapter/new_adapter.ts";
export { initParameters, type ParameterTable, partNumbers, type TrainedPart } from "./adapter/parameters.ts";
export type { GateActivation, GateSharing } from "./adapter/parts/gate.ts";
export { type AdapterSettings, adapterSettings, settingsOf } from "./adapter/settings.ts";

// A model with adapters, as PEFT has it.

export { type AdapterChoice, AdaptionPromptModel, type ChosenText, trainableLine } from "./adapter/model.ts";

// Scores and gradients of packed sequences.

export {
  type Cell,
  type ImageInput,
  type ImageQueries,
  type ImageRows,
  imageOf,
  packCell,
  type SeenImages,
  type TokenSet,
} from "./cell/tokens.ts";
export {
  type CellGradient,
  type CellTask,
  cellGradient,
  cellGradients,
  cellLosses,
  cellScores,
} from "./model/gradient.ts";
export { mixedLogits, oneSequence, packSequences, tokenLogits } from "./model/logits.ts";
export type { PackedTokens } from "./model/pass.ts";
export { openPromptCache, type PromptCache, type PromptLease } from "./model/prompt_cache.ts";
export type { AdapterPrompts, ImagePrompts, LayerPrompt, SequenceImage, SequencePrompts } from "./model/prompts.ts";
export { type ScoredCell, scoreCells } from "./model/scores.ts";

// Texts.

export type { BatchEvent, BatchOptions } from "./generate/batch.ts";
export type { ConstrainedText, MaskOptions, TokenConstraint } from "./generate/constraint.ts";
export { type FairQueue, openFairQueue, type ServedBy } from "./generate/fair_queue.ts";
export { type GenerateOptions, generate, generateBatch, openSession, type Session } from "./generate/generate.ts";
export type { Penalties, TokensBefore } from "./generate/penalties.ts";
export { type SamplingOptions, sampleToken } from "./generate/sample.ts";
export {
  openScheduler,
  type Scheduler,
  type SchedulerOptions,
  type SubmittedEvent,
  type SubmittedText,
} from "./generate/scheduler.ts";
export type { TokenScore, TokenScores } from "./generate/scores.ts";
export { streamText } from "./generate/stream_text.ts";
export type { FinishReason, ScheduledRequest, TextEvent, TextOptions, TextRequest } from "./generate/text.ts";
export {
  type Decoder,
  type Decoding,
  openTextStream,
  type StreamOptions,
  type TextPart,
  type TextStream,
} from "./generate/text_stream.ts";
export { constrainTo, type JsonGrammar, jsonGrammar } from "./grammar/json_grammar.ts";
export { type TokenTrie, tokenTrie } from "./grammar/token_trie.ts";

// Adapters among each other: distances, means, other gates.

export { type PartDistance, partDistances, weightedSum } from "./adapter/compare.ts";
export {
  convertGates,
  type GateConversion,
  type GateReduction,
  gateReductions,
  type LayerGates,
} from "./adapter/files/convert_gates.ts";
export { type FittedGate, fitGates } from "./model/fit_gates.ts";

// Errors that a caller can tell apart.

export {
  BadLogitsError,
  DamagedError,
  DeadlineError,
  DeadlyCellError,
  DeviceDiedError,
  EngineLostError,
  type ErrorCode,
  InputError,
  isZerogateError,
  QueueFullError,
  RankLateError,
  StepRefusedError,
  ZerogateError,
} from "./errors.ts";
