/** What an answer counts. */

/** Tokens of a request. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

export function usageOf(prompt: number, completion: number): Usage {
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** Why a text ended, in the words of the API. */
export function finishWord(reason: string): "stop" | "length" {
  return reason === "length" || reason === "context" ? "length" : "stop";
}

/** The time in seconds since 1970. */
export const secondsNow = (): number => Math.floor(Date.now() / 1000);
