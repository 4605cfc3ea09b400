/** What opening says of itself while it works. */
import type { Phase } from "../run/phase.ts";

/** Where opening reports what it does, and what ends it. */
export interface Progress {
  /** Receives what is being done, undefined once it is done. */
  readonly onPhase: (phase: Phase | undefined) => void;
  /** Receives what is used otherwise than it may have been meant. */
  readonly onWarning: (message: string) => void;
  readonly signal: AbortSignal;
}
