/**
 * A lazy wait before every sum. A rank that waits inside MPI burns a core and can neither time out nor say for whom it
 * waits; so ranks first report to rank 0 what they are about to do, and only then meet in MPI.
 */

import { setImmediate, setTimeout } from "node:timers/promises";
import { RankLateError } from "@zerogate/core";
import type { Meeting } from "./communicator.ts";
import type { MpiLibrary, Request } from "./mpi_library.ts";

/** Polls without a pause for this long: most ranks come at about the same time. */
const EAGER_MS = 2;
/** Rank 0 knows who is late, so its message should come first. */
const GRACE_MS = 2_000;

/** What a rank is about to do. */
interface Purpose {
  readonly kind: "sum" | "broadcast" | "close";
  readonly length: number;
}

const KINDS = ["sum", "broadcast", "close"] as const;

export interface MeetingPlace {
  /** Resolves when all ranks are here, for the same purpose. @throws RankLateError */
  meet(purpose: Purpose, meeting: Meeting): Promise<void>;
}

export function openMeetingPlace(mpi: MpiLibrary): MeetingPlace {
  const others = Array.from({ length: mpi.size - 1 }, (_, i) => i + 1);
  /** What every rank last came for; only rank 0 knows. */
  const lastSeen = new Map<number, string>();
  let count = 0;

  return {
    async meet({ kind, length }, meeting) {
      const { phase, limitMs } = meeting;
      const mine = BigInt64Array.of(BigInt(count++), BigInt(KINDS.indexOf(kind)), BigInt(length));
      if (mpi.rank !== 0) {
        const sent = mpi.send(mine, 0);
        const met = mpi.barrier();
        if (await isInTime(() => sent.isDone() && met.isDone(), limitMs + GRACE_MS)) return;
        const waited = `${(limitMs + GRACE_MS) / 1000} s`;
        throw new RankLateError(
          `Cannot go on at ${phase}: rank 0 did not say within ${waited} that all ranks are here: see its message, else the network to it is cut`,
        );
      }
      const arrivals = others.map((rank) => {
        const theirs = new BigInt64Array(3);
        return { rank, theirs, request: mpi.receive(theirs, rank), isHere: false };
      });
      const come = () => {
        for (const arrival of arrivals) {
          if (arrival.isHere || !arrival.request.isDone()) continue;
          arrival.isHere = true;
          checkPurpose(arrival.rank, arrival.theirs, mine, phase);
          lastSeen.set(arrival.rank, phase);
        }
        return arrivals.every(({ isHere }) => isHere);
      };
      if (!(await isInTime(come, limitMs))) {
        const late = arrivals.filter(({ isHere }) => !isHere).map(({ rank }) => rank);
        const seen = late.map((rank) => `rank ${rank} (last seen at ${lastSeen.get(rank) ?? "its start"})`).join(", ");
        throw new RankLateError(`Cannot go on at ${phase}: after ${limitMs / 1000} s these have not come: ${seen}`);
      }
      const released: Request = mpi.barrier();
      if (!(await isInTime(() => released.isDone(), limitMs))) {
        throw new RankLateError(
          `Cannot go on at ${phase}: all ranks came, but not all heard of it: the network is cut`,
        );
      }
    },
  };
}

function checkPurpose(rank: number, theirs: BigInt64Array, mine: BigInt64Array, phase: string): void {
  if (theirs.every((value, i) => value === mine[i])) return;
  const shown = ([count, kind, length]: BigInt64Array) => `${KINDS[Number(kind)]} of ${length} as number ${count}`;
  throw new RankLateError(
    `Cannot go on at ${phase}: rank ${rank} came for a ${shown(theirs)}, rank 0 for a ${shown(mine)}`,
  );
}

/** Asks again and again, at first eagerly, then every millisecond. */
async function isInTime(isDone: () => boolean, limitMs: number): Promise<boolean> {
  const begin = performance.now();
  while (!isDone()) {
    const waited = performance.now() - begin;
    if (waited > limitMs) return false;
    await (waited < EAGER_MS ? setImmediate() : setTimeout(1));
  }
  return true;
}
