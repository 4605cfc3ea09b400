/** `@zerogate/data`: instruction data read, tokenised, cached, split and cut into cells. Prints nothing. */
export type { Template } from "@zerogate/core";
export { type Beginnings, beginningsOf } from "./beginnings.ts";
export { busyShare, planCosts, stepWork } from "./busy_share.ts";
export { cellCost, cutCells, cutEvenCells, type EvenCut, mostCells, type SampleSizes, sampleCost } from "./cells.ts";
export { askedMessage, type ChatMessage, type ChatRecord, type DataRecord, isChat } from "./chat/record.ts";
export {
  type CheckedSet,
  checkData,
  type DataCheck,
  type DataCheckRequest,
  type TokenRequest,
} from "./check/check_data.ts";
export type { ColumnSummary } from "./check/columns.ts";
export { beginningOf, type Example, type Finding } from "./check/finding.ts";
export type { LengthBin, LengthSummary } from "./check/lengths.ts";
export type { LikeFindings } from "./check/like_counter.ts";
export type { Likeness } from "./check/likeness.ts";
export type { MeasuredLengths, RecordLength } from "./check/measured_lengths.ts";
export type { RecordFindings } from "./check/set_check.ts";
export type { TokenFindings } from "./check/token_check.ts";
export type { ConversationRule } from "./conversations.ts";
export { type DataFile, listDataFiles } from "./data_files.ts";
export {
  type Asked,
  type EncodedPrompt,
  encodeMessages,
  encodePrompt,
  encodeQuestion,
  encodeSample,
  type SampleFormat,
} from "./encode_sample.ts";
export type { FieldMap, FieldRule } from "./fields/field_map.ts";
export { type ChosenSamples, findLeaks, type Leaks } from "./leaks.ts";
export type { MixedPart, Mixture, PartRule } from "./mixture.ts";
export { permutation } from "./permutation.ts";
export { createPlan, type Plan, type PlanInput, type StepPlan } from "./plan.ts";
export { type LargePrepareOptions, type PreparedTokens, type PrepareOptions, prepareTokens } from "./prepare.ts";
export { type DataPart, type PreparedParts, prepareParts } from "./prepare_parts.ts";
export type { UnreadField } from "./reading.ts";
export type { InstructionRecord } from "./record.ts";
export { findMissingImages, type ImageFault, type RecordImages } from "./record_images.ts";
export { lengthKeeping, type RecordLengths } from "./record_lengths.ts";
export { describeProblem, type RecordProblem } from "./record_problems.ts";
export { type Dataset, type ReadOptions, readRecords } from "./records.ts";
export type { EncodedSample, MaskRule } from "./sample.ts";
export { imagesOfSamples, withoutFaultyImages } from "./sample_images.ts";
export {
  listScienceSplits,
  readScienceCaptions,
  readScienceSplit,
  type ScienceProblem,
  type ScienceSplit,
} from "./scienceqa/problems.ts";
export { readScienceQuestions, type ScienceQuestions } from "./scienceqa/questions.ts";
export {
  type ClassAccuracy,
  chanceOf,
  majorityChoices,
  namedChoice,
  rightChoices,
  type ScienceClass,
  sameSkillChoices,
  scienceAccuracy,
  scienceClasses,
} from "./scienceqa/score.ts";
export { answerOf, type ScienceFormat, scienceRecord } from "./scienceqa/text.ts";
export { type Split, type SplitOptions, splitSamples } from "./split.ts";
export type { StoredImages } from "./stored_images.ts";
export { type Choice, choose } from "./tasks/choose.ts";
export type { ChoiceTask, OpenQuestion, OpenTask, Question, Task, TaskRecord } from "./tasks/definition.ts";
export { type EncodedPair, encodePair } from "./tasks/encode_pair.ts";
export { isSameNumber, lastNumber, strictNumber, untilStop } from "./tasks/extract.ts";
export { taskNames } from "./tasks/known.ts";
export { type AnyLoadedTask, type AskedRecord, type LoadedTask, loadTask, type TaskRequest } from "./tasks/load.ts";
export { type ChoiceItem, choiceItems, type OpenItem, openItems } from "./tasks/prompts.ts";
export { type Interval, type PairedDifference, pairedDifference, wilsonInterval } from "./tasks/statistics.ts";
export { isExactMatch, rougeL } from "./tasks/text_scores.ts";
export {
  scoreWritten,
  type WrittenAnswer,
  type WrittenDifference,
  type WrittenMetric,
  type WrittenResult,
  type WrittenScore,
  writtenMetrics,
} from "./tasks/written_scores.ts";
export { listTemplates, loadTemplate, parsePrompt, renderPrompt } from "./templates.ts";
export { type CachedTokens, readTokenFile } from "./token_file.ts";
export { joinSamples, measureSamples, type TokenStats } from "./token_set.ts";
export { type TokenizedData, type TokenizedRecords, type TokenizeOptions, tokenizeRecords } from "./tokenize.ts";
export {
  checkVocabulary,
  createTokenizer,
  type DecodeOptions,
  type EncodeOptions,
  loadTokenizer,
  type Tokenizer,
} from "./tokenizer.ts";
export type { TokenizedModel, TokenizerFiles, VocabularyFile } from "./tokenizer_files.ts";
