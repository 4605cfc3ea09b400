/** The communicator over MPI, seen from the main thread, with a watchdog for a library that never returns. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { InputError } from "@zerogate/core";
import { decodeError, type EncodedError } from "@zerogate/core/training";
import type { Communicator, CommunicatorOptions, Meeting } from "./communicator.ts";
import type { Launch } from "./launcher.ts";

export type ThreadRequest =
  | { readonly kind: "open" }
  | { readonly kind: "sum"; readonly values: BigInt64Array<SharedArrayBuffer>; readonly meeting: Meeting }
  | { readonly kind: "broadcast"; readonly bytes: Uint8Array<SharedArrayBuffer>; readonly meeting: Meeting }
  | { readonly kind: "close"; readonly meeting: Meeting }
  | { readonly kind: "abort" };

export interface ThreadData {
  readonly candidates: readonly string[];
}

export interface About {
  readonly rank: number;
  readonly size: number;
  readonly about: string;
}

export type ThreadReply = { readonly value: About | undefined } | { readonly error: EncodedError };

const OPEN_MPI = ["libmpi.so.40", "libmpi.so", "libmpi.40.dylib", "libmpi.dylib"];
const MPICH = ["libmpich.so.12", "libmpi.so.12", "libmpi.12.dylib"];
/** Beyond a meeting's own limit: a sum of a gradient takes milliseconds once all ranks are there. */
const STUCK_MS = 20_000;
const CLOSE_MS = 30_000;
const ABORT_MS = 5_000;
/** A timer of Node fires at once beyond it; limits are multiplied by the factor of a phase. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Settings that a library reads when it starts; what the user has set stays. */
const settings = {
  OMPI_MCA_mpi_yield_when_idle: "1", // 5–7 times faster if cores are contended
  UCX_MEM_EVENTS: "no", // its memory hooks and Node's threads crash each other
  UCX_MEM_MMAP_HOOK_MODE: "none",
};

export async function openMpi(options: CommunicatorOptions, launch: Launch | undefined): Promise<Communicator> {
  // Before the thread starts: C sees only what the main thread set.
  for (const [name, value] of Object.entries(settings)) process.env[name] ??= value;
  const { onStuck = (reason) => console.error(reason) } = options;
  const who = launch ? `rank ${launch.rank} of ${launch.size}: ` : "";
  const thread = startThread(candidatesFor(options, launch), (reason) => onStuck(who + reason));
  let isBroken = false;
  const ask = async (request: ThreadRequest, limitMs: number, phase: string) => {
    if (isBroken) throw new Error(`Cannot go on at ${phase}: the communicator failed before`);
    try {
      return await thread.ask(request, limitMs, phase);
    } catch (error) {
      isBroken = true;
      throw error;
    }
  };
  let about: About | undefined;
  try {
    about = await ask({ kind: "open" }, options.startLimitMs, "the start of MPI");
    if (!about) throw new TypeError("Cannot open MPI: its thread answered nothing");
    checkWorld(about, launch);
  } catch (error) {
    await thread.end();
    throw error;
  }
  const { rank, size } = about;
  return {
    rank,
    size,
    about: `${about.about}, launched by ${launch?.by ?? "nobody"}`,
    async sum(values, meeting) {
      await ask({ kind: "sum", values, meeting }, meeting.limitMs + STUCK_MS, meeting.phase);
    },
    async broadcast(bytes, meeting) {
      // A whole base may travel: at least 10 MB/s is expected of a network.
      const limitMs = meeting.limitMs + STUCK_MS + bytes.length / 10_000;
      await ask({ kind: "broadcast", bytes, meeting }, limitMs, meeting.phase);
    },
    async close() {
      const meeting = { phase: "the end", limitMs: CLOSE_MS };
      if (isBroken) await thread.ask({ kind: "abort" }, ABORT_MS, "the end of a job that failed");
      else await ask({ kind: "close", meeting }, CLOSE_MS + STUCK_MS, meeting.phase);
      await thread.end();
    },
  };
}

function candidatesFor({ library }: CommunicatorOptions, launch: Launch | undefined): readonly string[] {
  const named = library ?? process.env["ZEROGATE_MPI"];
  if (named !== undefined) return [named];
  return launch?.by === "a PMI launcher" ? [...MPICH, ...OPEN_MPI] : [...OPEN_MPI, ...MPICH];
}

/** A library that does not belong to the launcher makes every process a world of its own: all would train, and write, alone. */
function checkWorld({ size, rank, about }: About, launch: Launch | undefined): void {
  if (!launch || (launch.size === size && launch.rank === rank)) return;
  const says = `${launch.by} says rank ${launch.rank} of ${launch.size}, ${about} says rank ${rank} of ${size}`;
  const advice =
    launch.by === "Slurm's srun"
      ? "start it with srun --mpi=pmix, or name the library that belongs to this Slurm with ZEROGATE_MPI"
      : "this library does not belong to this launcher, name the right one with ZEROGATE_MPI";
  throw new InputError("Cannot use MPI", `${says}: ${advice}`);
}

interface MpiThread {
  ask(request: ThreadRequest, limitMs: number, phase: string): Promise<About | undefined>;
  end(): Promise<void>;
}

function startThread(candidates: readonly string[], onStuck: (reason: string) => void): MpiThread {
  const workerData: ThreadData = { candidates };
  const worker = new Worker(builtThread(), { workerData, execArgv: [] });
  let died: Error | undefined;
  const ended = once(worker, "exit"); // also after an error, which rejects it
  ended.catch((error: unknown) => {
    died = error instanceof Error ? error : new Error(String(error));
  });
  return {
    async ask(request, limitMs, phase) {
      const watchdog = setTimeout(
        () => {
          const why =
            request.kind === "open" ? " (a rank has not started, or hosts cannot reach each other's ports)" : "";
          const stuck = `MPI did not return within ${limitMs / 1000} s${why}, this process kills itself`;
          onStuck(`Cannot go on at ${phase}: ${stuck}`);
          process.kill(process.pid, "SIGKILL"); // a thread inside MPI cannot be ended, so `process.exit` would hang
        },
        Math.min(limitMs, LONGEST_TIMER_MS),
      );
      try {
        if (died) throw died;
        const answered = once(worker, "message");
        answered.catch(() => {}); // if the thread ends first
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
        worker.postMessage(request);
        const first = await Promise.race([answered, ended.then(() => undefined)]);
        if (!first) throw new Error(`Cannot go on at ${phase}: the thread of MPI ended`);
        const [reply] = first as [ThreadReply];
        if ("error" in reply) throw decodeError(reply.error);
        return reply.value;
      } finally {
        clearTimeout(watchdog);
      }
    },
    async end() {
      await worker.terminate();
    },
  };
}

/** Worker threads load built JavaScript, even if this module runs as source (Node 20, vitest). */
function builtThread(): URL {
  const url = new URL("../dist/mpi_thread.js", import.meta.url);
  if (!existsSync(url))
    throw new Error(`Cannot start the thread of MPI: ${url.pathname} is missing, run \`pnpm build\``);
  return url;
}
