/** What a text may be: a mask over its next token. */

/** What is left of a text, and what ends it. */
export interface MaskOptions {
  /** Tokens that may still come, the next one among them. */
  readonly left: number;
  /** Tokens that end the text: allowed when it is whole. */
  readonly endIds: readonly number[];
}

/** A text that is being written under a constraint. */
export interface ConstrainedText {
  /** Returns the logits with −∞ for every token that may not come next. */
  masked(logits: Float32Array, options: MaskOptions): Float32Array;
  /** Takes the next token. */
  accept(id: number): void;
  /** Whether the text is whole and nothing may follow. */
  readonly isOver: boolean;
}

/** Texts that are allowed, such as `constrainTo` makes. Many may be written under one. */
export interface TokenConstraint {
  /** The most tokens that the shortest of them has. */
  readonly leastTokens: number;
  /** Begins a text, or goes on behind tokens that it has. */
  begin(ids?: readonly number[]): ConstrainedText;
}
