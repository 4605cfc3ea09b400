/**
 * The data plan: which samples a step trains on and how they are cut into cells. A pure function of its input: it does
 * not know how many workers there are, and any step is found without going through the ones before it.
 *
 * An epoch is a permutation of all samples (its number is the stream of the seed), a step's batch the next `batchSize` of
 * it. A batch is cut into cells of at most `cellTokens` tokens: into even ones (`even`), or one after the other as runs of
 * 0.1.0 did (cells.ts).
 */
import { createHash } from "node:crypto";
import { InputError } from "@zerogate/core";
import { cutCells, cutEvenCells, type EvenCut, mostCells, type SampleSizes } from "./cells.ts";
import { permutation } from "./permutation.ts";
import { bytesOf } from "./token_set.ts";

/** A sample without a target never appears in the plan. */
export interface PlanInput extends SampleSizes {
  /** The samples to train on, each at most once. */
  readonly samples: readonly number[] | Int32Array;
  /** A safe integer. */
  readonly seed: number;
  /** Samples per optimizer step, over all workers. */
  readonly batchSize: number;
  /** Most tokens of a cell; a longer sample gets a cell of its own. */
  readonly cellTokens: number;
  /** Cuts even cells. @default first-fit cells, as runs of 0.1.0 have them */
  readonly even?: EvenCut | undefined;
  /** Leave an epoch's last batch out if it is not full. @default false */
  readonly dropLast?: boolean;
}

/** One step of a plan. */
export interface StepPlan {
  readonly step: number;
  readonly epoch: number;
  /** The global batch, in the epoch's order. */
  readonly samples: readonly number[];
  /** The same samples, cell by cell. */
  readonly cells: readonly (readonly number[])[];
  readonly tokens: number;
  /** What the step's loss and gradient are divided by. */
  readonly labelledTokens: number;
}

/** Which samples every step trains on. */
export interface Plan {
  readonly stepsPerEpoch: number;
  /** Samples per epoch, before `dropLast`. */
  readonly sampleCount: number;
  /** A number of cells that no step exceeds. */
  readonly maxCells: number;
  /** SHA-256 of all that the plan depends on, hexadecimal. */
  readonly hash: string;
  /** Any step from 0 on; the epochs never end. */
  step(step: number): StepPlan;
}

/**
 * @throws InputError if no step can be made of the samples, RangeError for sizes or sample indices that make no sense.
 */
export function createPlan({
  lengths,
  labelled,
  beginnings,
  samples,
  seed,
  batchSize,
  cellTokens,
  even,
  dropLast = false,
}: PlanInput): Plan {
  const multiple = even?.multiple ?? 1;
  checkWhole({ batchSize, cellTokens, multiple });
  checkSamples(samples, lengths, labelled);
  const trained = Int32Array.from(samples).filter((sample) => labelled[sample]! > 0);
  const stepsPerEpoch = dropLast ? Math.floor(trained.length / batchSize) : Math.ceil(trained.length / batchSize);
  if (stepsPerEpoch === 0) {
    const needed = dropLast ? `${batchSize} are needed (batchSize, with dropLast)` : "at least 1 is needed";
    throw new InputError(
      "Cannot plan an epoch",
      `${trained.length} of ${samples.length} samples have targets, ${needed}`,
    );
  }
  let ordered: { epoch: number; order: Int32Array } | undefined;
  const orderOf = (epoch: number): Int32Array => {
    if (ordered?.epoch !== epoch) ordered = { epoch, order: permutation(trained.length, seed, epoch) };
    return ordered.order;
  };
  return {
    stepsPerEpoch,
    sampleCount: trained.length,
    maxCells: mostCells(lengths, batchSize, cellTokens, multiple),
    hash: hashPlan({ lengths, labelled, beginnings, samples: trained, seed, batchSize, cellTokens, even, dropLast }),
    step(step) {
      if (!Number.isSafeInteger(step) || step < 0)
        throw new RangeError(`Cannot plan step ${step}: an integer from 0 on is needed`);
      const epoch = Math.floor(step / stepsPerEpoch);
      const begin = (step - epoch * stepsPerEpoch) * batchSize;
      const batch = Array.from(orderOf(epoch).subarray(begin, begin + batchSize), (place) => trained[place] as number);
      const total = (counts: Int32Array): number => batch.reduce((sum, sample) => sum + counts[sample]!, 0);
      const cells = even
        ? cutEvenCells(batch, { lengths, labelled, beginnings }, cellTokens, even)
        : cutCells(batch, lengths, cellTokens);
      return { step, epoch, samples: batch, cells, tokens: total(lengths), labelledTokens: total(labelled) };
    },
  };
}

function checkWhole(sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(size) || size < 1)
      throw new RangeError(`Cannot plan with ${name} ${size}: an integer from 1 on is needed`);
  }
}

function checkSamples(samples: readonly number[] | Int32Array, lengths: Int32Array, labelled: Int32Array): void {
  if (labelled.length !== lengths.length) {
    throw new RangeError(
      `Cannot plan with ${lengths.length} lengths and ${labelled.length} label counts: one of each a sample is needed`,
    );
  }
  const seen = new Uint8Array(lengths.length);
  for (const sample of samples) {
    if (seen[sample] !== 0) {
      const fault = seen[sample] === 1 ? "it is listed twice" : `the token set has ${lengths.length} samples`;
      throw new RangeError(`Cannot plan with sample ${sample}: ${fault}`);
    }
    seen[sample] = 1;
  }
}

function hashPlan({ lengths, labelled, samples, ...rest }: PlanInput & { readonly samples: Int32Array }): string {
  const { seed, batchSize, cellTokens, even, beginnings, dropLast } = rest;
  const cut = even
    ? ["zerogate plan 2", even.multiple, even.cost.token, even.cost.pair, even.cost.label]
    : ["zerogate plan 1"];
  if (even && beginnings) cut.push(beginnings.hash);
  const hash = createHash("sha256").update(
    JSON.stringify([...cut, seed, batchSize, cellTokens, dropLast, samples.length]),
  );
  hash.update(bytesOf(samples));
  for (const counts of [lengths, labelled]) hash.update(bytesOf(samples.map((sample) => counts[sample] as number)));
  return hash.digest("hex");
}
