/** Several ranks in one process: each has its own communicator, and a call returns when all ranks have made it, as with MPI. */
import type { Communicator, Meeting } from "@zerogate/mpi";
import { createTeam, type OpenTeam } from "../src/team/team.ts";

interface LocalRanks {
  readonly communicators: readonly Communicator[];
  /** Every meeting so far, as rank 0 called it, with the bytes that it brought. */
  readonly meetings: (Meeting & { readonly bytes: number })[];
  /** Breaks the network: what waits and all that comes rejects with this. */
  readonly cut: (problem: string) => void;
}

function localRanks(size: number): LocalRanks {
  const meetings: (Meeting & { readonly bytes: number })[] = [];
  let broken: Error | undefined;
  let waiting: { readonly part: Uint8Array | BigInt64Array; readonly settle: (error?: Error) => void }[] = [];
  const meet = (rank: number, part: Uint8Array | BigInt64Array, meeting: Meeting, join: (parts: never) => void) => {
    if (rank === 0) meetings.push({ ...meeting, bytes: part.byteLength });
    return new Promise<void>((resolve, reject) => {
      if (broken) return reject(new Error(broken.message));
      waiting[rank] = { part, settle: (error) => (error ? reject(error) : resolve()) };
      if (Object.keys(waiting).length < size) return;
      const all = waiting;
      waiting = [];
      join(all.map((one) => one.part) as never);
      for (const { settle } of all) settle();
    });
  };
  const communicators = Array.from({ length: size }, (_, rank): Communicator => {
    return {
      rank,
      size,
      about: "one process",
      sum: (values, meeting) =>
        meet(rank, values, meeting, (parts: BigInt64Array[]) => {
          const sums = Array.from(values, (__, i) => parts.reduce((sum, part) => sum + (part[i] ?? 0n), 0n));
          for (const part of parts) part.set(sums);
        }),
      broadcast: (bytes, meeting) =>
        meet(rank, bytes, meeting, (parts: Uint8Array[]) => {
          for (const part of parts.slice(1)) part.set(parts[0] ?? []);
        }),
      close: async () => {},
    };
  });
  const cut = (problem: string) => {
    broken = new Error(problem);
    for (const one of waiting) one?.settle(new Error(problem));
  };
  return { communicators, meetings, cut };
}

export interface LocalTeams extends LocalRanks {
  readonly teams: readonly OpenTeam[];
  /** Lines told by any rank. */
  readonly told: string[];
  /** Does the same on all ranks at once; what each gave, or the message of what it threw. */
  readonly all: <T>(work: (team: OpenTeam) => Promise<T>) => Promise<(T | string)[]>;
}

export function localTeams(size: number, limitMs = 1000): LocalTeams {
  const ranks = localRanks(size);
  const told: string[] = [];
  const teams = ranks.communicators.map((one) => createTeam(one, limitMs, (line) => told.push(line)));
  const all = <T>(work: (team: OpenTeam) => Promise<T>) =>
    Promise.all(teams.map((team) => work(team).catch((error: unknown) => (error as Error).message)));
  return { ...ranks, teams, told, all };
}
