/**
 * The largest numbers that configs and flags take. They are the same on every machine, since stored configs are read by them
 * too; what this machine can hold is checked when a run opens (run/capacity.ts).
 */

/** Each is a thread or a process with an engine of its own, and no machine has as many cores. */
export const MAX_WORKERS = 4096;

/** Machines that train together: the largest clusters have fewer. */
export const MAX_HOSTS = 65_536;

/** Steps, epochs and what is counted in them. At a millisecond each this many steps take eleven days, and sums stay exact. */
export const MAX_STEPS = 1_000_000_000;

/** Sequences of a batch: indexes of samples are 32 bits wide. */
export const MAX_SEQUENCES = 2_147_483_647;

/** Tokens of a record, a cell or an answer: the longest contexts of published models have 10 million. */
export const MAX_TOKENS = 16_777_216;

/** A petabyte: more than any machine has, and its bytes are still a whole number. */
export const MAX_MEGABYTES = 1_000_000_000;

/** Prompt tokens of a layer. The paper has 10; a thousand times more could still be a wish, a million is a mistake. */
export const MAX_PROMPT_LENGTH = 65_536;

/** Units of a projection of images; the paper has some 64. */
export const MAX_PROJECTION = 65_536;

/** Width of a visual-query transformer and units of its blocks, and its blocks: the released one has 768, 3072 and 8. */
export const MAX_VISION_WIDTH = 65_536;
export const MAX_VISION_BLOCKS = 1024;

/** Layers of any model; the deepest published ones have a few hundred. */
export const MAX_LAYERS = 65_536;

/** Answers in a report, which is one page. */
export const MAX_ANSWERS = 100_000;

/** Node's timers end at 2³¹ ms, 24.8 days, and fire at once beyond. */
export const MAX_SECONDS = 2_000_000;
export const MAX_MINUTES = 30_000;

/** Entries of a vocabulary: the largest published have 262,144. */
export const MAX_VOCABULARY = 16_777_216;

/** Above it all tokens are as good as equally likely, and far above it logits vanish in rounding. */
export const MAX_TEMPERATURE = 1_000_000;
