/** Sums and broadcasts over all processes of a run. Sums are of integers only: their result cannot depend on an order. */
/** How long all ranks may take to come together, and for what, as a message about a late one will say. */
export interface Meeting {
  /** For people: "step 12". The same on all ranks. */
  readonly phase: string;
  readonly limitMs: number;
}

/**
 * All ranks call the same methods in the same order, one at a time. Where that fails, the communicator is broken for good:
 * every later call rejects, and `close` ends the whole job.
 */
export interface Communicator {
  /** This process, from 0. */
  readonly rank: number;
  /** Processes of the run; one a host. */
  readonly size: number;
  /** For people: the library and who launched the job. */
  readonly about: string;
  /** Adds up all ranks' numbers in place, modulo 2⁶⁴. They must lie in shared memory. Rejects with a `RankLateError`. */
  sum(values: BigInt64Array<SharedArrayBuffer>, meeting: Meeting): Promise<void>;
  /** Overwrites the bytes of every other rank with those of rank 0. They must lie in shared memory, equally long everywhere. */
  broadcast(bytes: Uint8Array<SharedArrayBuffer>, meeting: Meeting): Promise<void>;
  /** Leaves the job in good order; after a failure ends all of it with exit code 1, this process included. */
  close(): Promise<void>;
}

export interface CommunicatorOptions {
  /** `auto`: MPI if a launcher's variables say that there is a job, else this process alone. */
  readonly kind: "auto" | "local" | "mpi";
  /** Path of the MPI library. Default: the one that belongs to the launcher. */
  readonly library?: string;
  /** How long the library may take to start. */
  readonly startLimitMs: number;
  /**
   * Receives the reason, just before this process kills itself: the library hangs in a call that nothing else can end, and then no
   * exit works either. Default: the reason on stderr.
   */
  readonly onStuck?: (reason: string) => void;
}

/** Every rank's numbers by rank, as all ranks see them: a sum of rows that are zero but for one's own. */
export async function gather(
  communicator: Communicator,
  values: readonly bigint[],
  meeting: Meeting,
): Promise<readonly bigint[][]> {
  const { rank, size } = communicator;
  const width = values.length;
  const rows = new BigInt64Array(new SharedArrayBuffer(8 * size * width));
  rows.set(values, rank * width);
  await communicator.sum(rows, meeting);
  return Array.from({ length: size }, (_, r) => [...rows.subarray(r * width, (r + 1) * width)]);
}
