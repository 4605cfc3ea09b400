/**
 * Features of images with several hosts. Processors differ in the last bits, so rank 0 alone makes them: the others, which have hashed
 * the same images and the same tower, receive its pack and compare the hash. Each keeps a copy, and a run that finds it on all hosts
 * sends nothing.
 */
import { setTimeout } from "node:timers/promises";
import { InputError } from "@zerogate/core";
import {
  allocateFeatures,
  type FeaturePack,
  type FindFeatures,
  findFeatures,
  type OwnFeatures,
  packHash,
} from "@zerogate/vision";
import type { Team } from "./team.ts";

const PHASE = "looking at images";
/** Hosts read and hash images at different speeds, as `LOADING_PATIENCE`. */
const PATIENCE = 10;
/** How often rank 0 says that it is still looking: others wait for it no longer than for any meeting. */
const SIGN_OF_LIFE_MS = 5000;
const PIECE_BYTES = 32 << 20;
/** What a host says of data without an image. */
const NOTHING = "no images";

/** How this rank opens data together with the others. */
export interface SharedFeatures {
  readonly find: FindFeatures;
  /**
   * Runs `work`, which opens data: it may call `find` once for each set of data. A rank that fails before meets the others to say so,
   * and one whose data have no images to say that.
   */
  during<T>(work: () => Promise<T>): Promise<T>;
}

/** @param sets how many sets of data may have images: the same on all ranks */
export function shareFeatures(team: Team, sets: number): SharedFeatures {
  if (team.size === 1) return { find: findFeatures, during: (work) => work() };
  let left = sets;
  const meet = async (inputs: string) => {
    left -= 1;
    const all = await team.collect(PHASE, async () => inputs, PATIENCE);
    const problems = all.flatMap((theirs, rank) =>
      theirs === all[0] ? [] : [`images and tower of rank ${rank} are ${theirs}, of rank 0 ${all[0] ?? ""}`],
    );
    if (problems.length > 0) team.fail(new InputError("Cannot train together", problems));
  };
  /** What fails in a meeting fails on all ranks: no other is to come. */
  const meeting = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      left = 0;
      throw error;
    }
  };
  return {
    find: (own) =>
      meeting(async () => {
        await meet(own.inputs);
        return await findTogether(team, own);
      }),
    async during(work) {
      const done = await work().catch(async (error: Error) => {
        if (left > 0) await team.agree(PHASE, () => Promise.reject(error), PATIENCE);
        throw error;
      });
      for (let rest = left; rest > 0; rest--) await meeting(() => meet(NOTHING));
      return done;
    },
  };
}

/** Returns the pack of rank 0, out of this rank's cache or received. */
async function findTogether(team: Team, own: OwnFeatures): ReturnType<FindFeatures> {
  const engineName = await team.fromFirst(PHASE, async () => own.engineName);
  let pack: FeaturePack | undefined;
  const hashes = await team.collect(PHASE, async () => {
    pack = await own.read(engineName);
    return pack && packHash(pack);
  });
  const [first] = hashes;
  if (pack && hashes.every((hash) => hash === first)) return { pack, isCached: true };
  if (first === undefined) pack = await makeOnFirst(team, own);
  const received = await sendPack(team, pack);
  await team.agree(PHASE, () => own.keep(engineName, received), PATIENCE);
  return { pack: received, isCached: false };
}

/** Rank 0 computes; all meet while it does. Returns the pack on rank 0. */
async function makeOnFirst(team: Team, own: OwnFeatures): Promise<FeaturePack | undefined> {
  let pack: FeaturePack | undefined;
  let making: Promise<void> | undefined;
  const isMade = () =>
    team.fromFirst(PHASE, async () => {
      making ??= own.make().then((made) => void (pack = made));
      making.catch(() => {}); // it may fail while nobody waits for it
      await Promise.race([making, setTimeout(SIGN_OF_LIFE_MS, undefined, { ref: false })]);
      return pack !== undefined;
    });
  while (!(await isMade()));
  return pack;
}

/** Sends rank 0's pack to all, who compare its hash. */
async function sendPack(team: Team, pack: FeaturePack | undefined): Promise<FeaturePack> {
  const head = await team.fromFirst(PHASE, async () => {
    if (!pack) throw new TypeError("Cannot send features: rank 0 has none");
    const { values: _, ...rest } = pack;
    return { ...rest, hash: packHash(pack) };
  });
  const { hash, ...rest } = head;
  const values = team.isFirst && pack ? pack.values : allocateFeatures(rest.images.length, rest.shape);
  const bytes = new Uint8Array(values.buffer as SharedArrayBuffer, values.byteOffset, values.byteLength);
  for (let begin = 0; begin < bytes.length; begin += PIECE_BYTES) {
    await team.broadcast(PHASE, bytes.subarray(begin, begin + PIECE_BYTES));
  }
  const received = { ...rest, values };
  await team.agree(PHASE, async () => {
    if (packHash(received) !== hash) throw new Error("Cannot use the features of rank 0: they came damaged");
  });
  return received;
}
