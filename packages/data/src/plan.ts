/**
 * The data plan: which samples a step trains on and how they are cut into cells. A pure function of its input: it does
 * not know how many workers there are, and any step is found without going through the ones before it.
 *
 * An epoch is a permutation of all samples (its number is the stream of the seed), a step's batch the next `batchSize` of
 * it. A batch is cut into cells of at most `cellTokens` tokens: into even ones (`even`), or one after the other as runs of
 * 0.1.0 did (cells.ts). Of a mixture an epoch is what mixture.ts makes of its parts.
 */
import { createHash } from "node:crypto";
import { InputError } from "@zerogate/core";
import { cutCells, cutEvenCells, type EvenCut, mostCells, type SampleSizes } from "./cells.ts";
import { type MixedPart, type Mixture, mixedEpoch, mixParts } from "./mixture.ts";
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
  /** Shares of parts of the samples. @default an epoch holds every sample once */
  readonly mixture?: Mixture | undefined;
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
  /** Of a mixture, how much of each part an epoch holds. @default it is none */
  readonly parts?: readonly MixedPart[] | undefined;
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
  mixture,
}: PlanInput): Plan {
  const multiple = even?.multiple ?? 1;
  checkWhole({ batchSize, cellTokens, multiple });
  checkSamples(samples, lengths, labelled);
  const trained = Int32Array.from(samples).filter((sample) => labelled[sample]! > 0);
  const parts = mixture && mixParts(mixture, trained);
  const sampleCount = parts?.reduce((sum, { perEpoch }) => sum + perEpoch, 0) ?? trained.length;
  const stepsPerEpoch = dropLast ? Math.floor(sampleCount / batchSize) : Math.ceil(sampleCount / batchSize);
  if (stepsPerEpoch === 0) {
    const needed = dropLast ? `${batchSize} are needed (batchSize, with dropLast)` : "at least 1 is needed";
    throw new InputError(
      "Cannot plan an epoch",
      `${parts ? `an epoch of the mixture holds ${sampleCount}` : `${trained.length} of ${samples.length}`} samples${parts ? "" : " have targets"}, ${needed}`,
    );
  }
  let ordered: { epoch: number; order: Int32Array } | undefined;
  const orderIn = (epoch: number) => {
    if (parts) return mixedEpoch(parts, seed, epoch);
    const order = permutation(trained.length, seed, epoch);
    for (const [i, place] of order.entries()) order[i] = trained[place]!;
    return order;
  };
  const orderOf = (epoch: number): Int32Array => {
    if (ordered?.epoch !== epoch) ordered = { epoch, order: orderIn(epoch) };
    return ordered.order;
  };
  return {
    stepsPerEpoch,
    sampleCount,
    parts,
    // Of a mixture a batch may hold the longest sample again and again.
    maxCells: mostCells(parts ? longestOnly(lengths, batchSize) : lengths, batchSize, cellTokens, multiple),
    hash: hashPlan(
      { lengths, labelled, beginnings, samples: trained, seed, batchSize, cellTokens, even, dropLast },
      parts,
    ),
    step(step) {
      if (!Number.isSafeInteger(step) || step < 0)
        throw new RangeError(`Cannot plan step ${step}: an integer from 0 on is needed`);
      const epoch = Math.floor(step / stepsPerEpoch);
      const begin = (step - epoch * stepsPerEpoch) * batchSize;
      const batch = Array.from(orderOf(epoch).subarray(begin, begin + batchSize));
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

function longestOnly(lengths: Int32Array, count: number): Int32Array {
  return new Int32Array(count).fill(lengths.reduce((longest, length) => Math.max(longest, length), 0));
}

function hashPlan(
  { lengths, labelled, samples, ...rest }: PlanInput & { readonly samples: Int32Array },
  parts: readonly MixedPart[] | undefined,
): string {
  const { seed, batchSize, cellTokens, even, beginnings, dropLast } = rest;
  const cut = even
    ? ["zerogate plan 2", even.multiple, even.cost.token, even.cost.pair, even.cost.label]
    : ["zerogate plan 1"];
  if (even && beginnings) cut.push(beginnings.hash);
  if (parts) cut.push("mixture", ...parts.flatMap(({ samples: own, perEpoch }) => [own.length, perEpoch]));
  const hash = createHash("sha256").update(
    JSON.stringify([...cut, seed, batchSize, cellTokens, dropLast, samples.length]),
  );
  hash.update(bytesOf(samples));
  for (const { samples: own } of parts ?? []) hash.update(bytesOf(own));
  for (const counts of [lengths, labelled]) hash.update(bytesOf(samples.map((sample) => counts[sample] as number)));
  return hash.digest("hex");
}
