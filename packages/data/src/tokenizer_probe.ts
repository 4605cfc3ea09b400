/**
 * A regular expression in somebody else's tokenizer.json can be made to run for years on a short text. So, before it
 * sees any data, the tokenizer is tried on the runs of characters that make such expressions backtrack, against the clock.
 */
import { createContext, runInContext } from "node:vm";

/** Thousands of times what real tokenizers need for one text of this length. */
const TIMEOUT_MS = 2_000;
/** Exponential and cubic time are far beyond the clock at this length, quadratic time is not worth a refusal. */
const CHARACTERS = 1_000;
const RUNS = ["a", "A", "0", " ", "\n", "!", "é", "你", "'s", "a ", "a0", "aA", "\r\n", "_"];
/** Backtracking begins where a long run almost matches; what ends the run depends on the expression. */
const ENDS = ["", "!", "a", "\u0001"];

/** @returns the run that took too long, or undefined. Errors of `encode` are the caller's: this is about time alone. */
export function findSlowText(encode: (text: string) => unknown): string | undefined {
  const context = createContext({ encode, text: "" });
  for (const run of RUNS) {
    for (const end of ENDS) {
      context["text"] = run.repeat(CHARACTERS / run.length) + end;
      try {
        runInContext("encode(text)", context, { timeout: TIMEOUT_MS }); // the only way to stop a regular expression
      } catch (error) {
        if (isTimeout(error)) return run;
        throw error;
      }
    }
  }
  return undefined;
}

/** Node makes this error in the context of the script, where it is no instance of our `Error`. */
function isTimeout(error: unknown): boolean {
  return (
    typeof error === "object" && error !== null && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT"
  );
}
