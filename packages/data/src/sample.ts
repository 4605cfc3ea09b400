/** A record once it is tokens. */
import type { Span } from "./chat/special_tokens.ts";

/** Which tokens are targets: those of the response with its EOS, or all that something precedes. */
export type MaskRule = "response" | "all";

/** A record in tokens. */
export interface EncodedSample {
  readonly ids: readonly number[];
  /** The first target; everything from here on is one. At least 1: nothing precedes token 0. */
  readonly firstTarget: number;
  /** What is a target instead, where that is not all: the turns of a chat. */
  readonly spans?: readonly Span[];
  /** Tokens before the cut. */
  readonly wholeLength: number;
}
