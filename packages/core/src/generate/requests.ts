/** What a request must be for a text to follow. */
import type { ModelConfig } from "../model/config.ts";
import type { SamplingOptions } from "./sample.ts";
import type { ScheduledRequest } from "./text.ts";

/** Returns why a request cannot be answered, a reason each, and what to change. */
export function problemsOf(
  { promptIds, answerIds = [], scale = 1, maxNewTokens, constraint, ...sampling }: ScheduledRequest,
  { contextLength, vocabSize }: ModelConfig,
): string[] {
  const problems: string[] = [];
  const found = (is: boolean, problem: string) => is && problems.push(problem);
  const { length } = promptIds;
  found(length === 0, "the prompt has no tokens, give at least one");
  const sizes = `the prompt has ${length} tokens, the model's context is ${contextLength}`;
  found(length >= contextLength, `${sizes}: shorten the prompt to leave room for the answer`);
  found(!(scale >= 0 && scale <= 1), `the scale is ${scale}, use 0 (the base) to 1 (the adapter)`);
  const isCount = Number.isSafeInteger(maxNewTokens) && maxNewTokens >= 0;
  found(!isCount, `maxNewTokens is ${maxNewTokens}, use a whole number from 0 on`);
  const most = Math.min(maxNewTokens, contextLength + 1 - length);
  found(answerIds.length > most, `the answer so far has ${answerIds.length} tokens, it may have ${most} in all`);
  const { leastTokens = 0 } = constraint ?? {};
  const isShort =
    answerIds.length === 0 && maxNewTokens > 0 && leastTokens > Math.min(maxNewTokens, contextLength + 1 - length);
  found(isShort, `the shortest text of its constraint may need ${leastTokens} tokens, it may have ${most}: allow more`);
  const { topScores = 0 } = sampling;
  const isScored = Number.isSafeInteger(topScores) && topScores >= 0 && topScores <= vocabSize;
  found(!isScored, `topScores is ${topScores}, use a whole number up to ${vocabSize}`);
  return [...problems, ...samplingProblems(sampling, vocabSize)];
}

function samplingProblems(
  { temperature = 0, topK = 0, topP = 1, minP = 0, seed = 0, ...penalties }: SamplingOptions,
  vocabSize: number,
): string[] {
  const { logitBias = {}, repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = penalties;
  const problems: string[] = [];
  const found = (is: boolean, problem: string) => is && problems.push(problem);
  const isTemperature = temperature >= 0 && temperature < Number.POSITIVE_INFINITY;
  found(!isTemperature, `the temperature is ${temperature}, use 0 (the most likely token) or more`);
  found(
    !(Number.isSafeInteger(topK) && topK >= 0),
    `topK is ${topK}, use a whole number from 1 on, or 0 for all tokens`,
  );
  found(!(topP >= 0 && topP <= 1), `topP is ${topP}, use a share up to 1`);
  found(!(minP >= 0 && minP <= 1), `minP is ${minP}, use a share up to 1`);
  found(!Number.isSafeInteger(seed), `the seed is ${seed}, use a whole number`);
  const isDivisor = repetitionPenalty > 0 && repetitionPenalty < Number.POSITIVE_INFINITY;
  found(!isDivisor, `repetitionPenalty is ${repetitionPenalty}, use a number above 0`);
  for (const [name, value] of Object.entries({ presencePenalty, frequencyPenalty })) {
    found(!Number.isFinite(value), `${name} is ${value}, use a number`);
  }
  for (const [token, bias] of Object.entries(logitBias)) {
    const id = Number(token);
    const isToken = Number.isInteger(id) && id >= 0 && id < vocabSize;
    found(!isToken, `logitBias names token ${token}, there are ${vocabSize}`);
    found(!Number.isFinite(bias), `logitBias of token ${token} is ${bias}, use a number`);
  }
  return problems;
}
