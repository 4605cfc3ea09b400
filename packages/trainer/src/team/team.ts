/**
 * All hosts of a run, one process (rank) each. Ranks do the same things in the same order, and what fails on one fails on
 * all, with the same words. A single host is a team of one: then everything here does just its work.
 */
import { deserialize, serialize } from "node:v8";
import { decodeError, type EncodedError, encodeError } from "@zerogate/core/training";
import { type Communicator, gather, type Meeting } from "@zerogate/mpi";

/** The processes of a run, as one of them calls them. */
export interface Team {
  readonly rank: number;
  readonly size: number;
  /** For people: the library and who launched the job. */
  readonly about: string;
  /** Rank 0, which alone writes. */
  readonly isFirst: boolean;
  /** Does `work` on this rank, and throws on all ranks if it threw on any. */
  agree<T>(phase: string, work: () => Promise<T>, limitFactor?: number): Promise<T>;
  /** The same, and returns what it gave, by rank: values that structured clone takes. */
  collect<T>(phase: string, work: () => Promise<T>, limitFactor?: number): Promise<T[]>;
  /** Does `work` on rank 0 alone; all ranks get a copy of what it gave. */
  fromFirst<T>(phase: string, work: () => Promise<T>, limitFactor?: number): Promise<T>;
  /** Adds up all ranks' numbers in place. */
  sum(phase: string, values: BigInt64Array<SharedArrayBuffer>): Promise<void>;
  /** Overwrites all ranks' bytes, equally many, with those of rank 0. */
  broadcast(phase: string, bytes: Uint8Array<SharedArrayBuffer>): Promise<void>;
  /** Every rank has found the same error: marks it as known to all, and throws it. */
  fail(error: Error): never;
  /** All ranks have taken so long for a step; from now on a late one gets at least ten times as long. */
  expect(stepMs: number): void;
}

export interface OpenTeam extends Team {
  /** Returns the line with which this rank reports an error: rank 0 reports what all have thrown, each rank its own. */
  lineFor(error: unknown): string | undefined;
}

/** Over the longest step so far. */
const LONGEST_STEPS = 10;

/**
 * @param limitMs how long a rank may be late
 * @param tell gets a line if the network or a rank fails, at once: the job may end before anybody else can say it
 */
export function createTeam(communicator: Communicator, limitMs: number, tell: (line: string) => void): OpenTeam {
  const { rank, size, about } = communicator;
  /** Thrown by all ranks. */
  const ofAll = new WeakSet<Error>();
  const reported = new WeakSet<Error>();
  let longestMs = 0;
  const meeting = (phase: string, limitFactor = 1): Meeting => {
    return { phase, limitMs: limitFactor * Math.max(limitMs, LONGEST_STEPS * longestMs) };
  };
  const together = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (error instanceof Error) {
        tell(`rank ${rank} of ${size}: ${error.message}`);
        reported.add(error);
      }
      throw error;
    }
  };
  const fail = (error: Error): never => {
    ofAll.add(error);
    throw error;
  };

  const agreeOn = async <T, S>(phase: string, work: () => Promise<T>, share: (value: T) => S, limitFactor?: number) => {
    const { value: own, thrown, part } = await attempt(work, share);
    const all = await together(exchange(communicator, part, meeting(phase, limitFactor)));
    const failed = all.findIndex(({ error }) => error !== undefined);
    if (failed === -1) return { own: own as T, all: all.map(({ value }) => value as S) };
    const at = thrown ? rank : failed;
    const error = thrown?.error instanceof Error ? thrown.error : decodeError(all[at]?.error ?? encodeError(undefined));
    if (!(error instanceof DOMException || ofAll.has(error))) error.message = `rank ${at} of ${size}: ${error.message}`;
    return fail(error);
  };

  return {
    rank,
    size,
    about,
    isFirst: rank === 0,
    async agree(phase, work, limitFactor) {
      if (size === 1) return await work();
      return (await agreeOn(phase, work, () => undefined, limitFactor)).own;
    },
    async collect(phase, work, limitFactor) {
      if (size === 1) return [await work()];
      return (await agreeOn(phase, work, (value) => value, limitFactor)).all;
    },
    async fromFirst<T>(phase: string, work: () => Promise<T>, limitFactor?: number) {
      if (size === 1) return await work();
      const own = async () => (rank === 0 ? serialize(await work()) : undefined);
      const { own: bytes, all } = await agreeOn(phase, own, (value) => value?.length ?? 0, limitFactor);
      const shared = new Uint8Array(new SharedArrayBuffer(all[0] ?? 0));
      if (bytes) shared.set(bytes);
      await together(communicator.broadcast(shared, meeting(phase, limitFactor)));
      return deserialize(Uint8Array.from(shared)) as T;
    },
    async sum(phase, values) {
      await together(communicator.sum(values, meeting(phase)));
    },
    async broadcast(phase, bytes) {
      await together(communicator.broadcast(bytes, meeting(phase)));
    },
    fail,
    expect(stepMs) {
      longestMs = Math.max(longestMs, stepMs);
    },
    lineFor(thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      const isShared = [error, error.cause].some((link) => link instanceof Error && ofAll.has(link));
      if (reported.has(error) || (isShared && rank !== 0)) return undefined;
      return isShared ? error.message : `rank ${rank} of ${size}: ${error.message}`;
    },
  };
}

/** Does this rank's part of some work; `part` is what the other ranks get of it. */
async function attempt<T, S>(work: () => Promise<T>, share: (value: T) => S) {
  try {
    const value = await work();
    const part: Part<S> = { error: undefined, value: share(value) };
    return { value, thrown: undefined, part };
  } catch (error) {
    const part: Part<S> = { error: encodeError(error), value: undefined };
    return { value: undefined, thrown: { error }, part };
  }
}

interface Part<S> {
  readonly error: EncodedError | undefined;
  readonly value: S | undefined;
}

/** Every rank's value, by rank: as a sum of bytes that are zero but for one's own. */
async function exchange<T>(communicator: Communicator, value: T, meeting: Meeting): Promise<T[]> {
  const { rank, size } = communicator;
  const bytes = serialize(value);
  const lengths = (await gather(communicator, [BigInt(bytes.length)], meeting)).map(([length]) => Number(length));
  const words = lengths.map((length) => Math.ceil(length / 8));
  const offsets = words.map((_, r) => words.slice(0, r).reduce((a, b) => a + b, 0));
  const all = new BigInt64Array(new SharedArrayBuffer(8 * words.reduce((a, b) => a + b, 0)));
  new Uint8Array(all.buffer).set(bytes, 8 * (offsets[rank] ?? 0));
  await communicator.sum(all, meeting);
  return Array.from({ length: size }, (_, r) => {
    const begin = 8 * (offsets[r] ?? 0);
    return deserialize(new Uint8Array(all.buffer).slice(begin, begin + (lengths[r] ?? 0))) as T;
  });
}
