/** The MPI calls that Zerogate makes, typed, with MPI's own error texts. Belongs to one thread from `startMpi` on. */
import { InputError } from "@zerogate/core";
import { type Library, openLibrary } from "@zerogate/ffi";
import { type Abi, abiOf } from "./abi.ts";

/** Counts are C ints; longer buffers go in pieces. */
const MAX_COUNT = 2 ** 30;
const TAG = 303;

/** A request that is under way; its buffers must stay referenced until `isDone`. */
export interface Request {
  isDone(): boolean;
}

export interface MpiLibrary {
  readonly rank: number;
  readonly size: number;
  /** For people: "Open MPI v4.1.4 (libmpi.so.40)". */
  readonly about: string;
  /** Blocks until all ranks have come. */
  sumInPlace(values: BigInt64Array): void;
  broadcastFromZero(bytes: Uint8Array): void;
  /** Sends without waiting. */
  send(values: BigInt64Array, to: number): Request;
  receive(values: BigInt64Array, from: number): Request;
  /** Done once every rank has called it. */
  barrier(): Request;
  finalize(): void;
  /** Ends the whole job; does not return. */
  abort(code: number): void;
}

/** Loads the library and calls MPI_Init_thread. @throws InputError if no library loads, Error if MPI refuses. */
export function startMpi(candidates: readonly string[]): MpiLibrary {
  const remedy =
    "install Open MPI (apt-get install openmpi-bin, or your cluster's module), or name its library with ZEROGATE_MPI";
  const library = openLibrary({ name: "MPI", candidates, remedy, global: true });
  const abi = abiOf(library);
  const mpi = functionsOf(library, abi);
  const scratch = new Int32Array(1);
  const number = () => scratch[0] ?? 0;

  const check = (code: number, what: string) => {
    if (code === 0) return;
    const text = new Uint8Array(1024);
    mpi.MPI_Error_string(code, text, scratch);
    throw new Error(`Cannot ${what}: ${new TextDecoder().decode(text.subarray(0, number()))}`);
  };
  const started = (start: (request: BigInt64Array) => number, what: string, held: unknown): Request => {
    const request = new BigInt64Array(1);
    check(start(request), what);
    const flag = new Int32Array(1);
    return {
      isDone() {
        void held; // MPI reads or writes it until now
        if (flag[0] === 0) check(mpi.MPI_Test(request, flag, abi.statusIgnore), what);
        return flag[0] !== 0;
      },
    };
  };

  check(mpi.MPI_Init_thread(null, null, abi.funneled, scratch), "start MPI");
  if (number() < abi.funneled) {
    throw new InputError("Cannot use MPI", `${library.path} was built without threads, a build with them is needed`);
  }
  check(mpi.MPI_Comm_set_errhandler(abi.world, abi.errorsReturn), "set MPI's error handler");
  check(mpi.MPI_Comm_rank(abi.world, scratch), "ask MPI for the rank");
  const rank = number();
  check(mpi.MPI_Comm_size(abi.world, scratch), "ask MPI for the number of ranks");
  const size = number();
  const version = new Uint8Array(8192);
  check(mpi.MPI_Get_library_version(version, scratch), "ask MPI for its version");
  const [firstLine = ""] = new TextDecoder().decode(version.subarray(0, number())).split(/[\n,\0]/, 1);

  return {
    rank,
    size,
    about: `${firstLine.trim()} (${library.path})`,
    sumInPlace(values) {
      for (let i = 0; i < values.length; i += MAX_COUNT) {
        const part = values.subarray(i, i + MAX_COUNT);
        check(mpi.MPI_Allreduce(abi.inPlace, part, part.length, abi.int64, abi.sum, abi.world), "sum over all ranks");
      }
    },
    broadcastFromZero(bytes) {
      for (let i = 0; i < bytes.length; i += MAX_COUNT) {
        const part = bytes.subarray(i, i + MAX_COUNT);
        check(mpi.MPI_Bcast(part, part.length, abi.uint8, 0, abi.world), "broadcast to all ranks");
      }
    },
    send: (values, to) =>
      started(
        (request) => mpi.MPI_Isend(values, values.length, abi.int64, to, TAG, abi.world, request),
        `send to rank ${to}`,
        values,
      ),
    receive: (values, from) =>
      started(
        (request) => mpi.MPI_Irecv(values, values.length, abi.int64, from, TAG, abi.world, request),
        `receive from rank ${from}`,
        values,
      ),
    barrier: () => started((request) => mpi.MPI_Ibarrier(abi.world, request), "meet all ranks", undefined),
    finalize: () => check(mpi.MPI_Finalize(), "finish MPI"),
    abort: (code) => void mpi.MPI_Abort(abi.world, code),
  };
}

function functionsOf(library: Library, { handle }: Abi) {
  const call = <const P extends readonly (Abi["handle"] | "string")[]>(...parameters: P) =>
    ({ result: "int32", parameters }) as const;
  return library.functions({
    MPI_Init_thread: call("pointer", "pointer", "int32", "pointer"),
    MPI_Comm_set_errhandler: call(handle, handle),
    MPI_Comm_rank: call(handle, "pointer"),
    MPI_Comm_size: call(handle, "pointer"),
    MPI_Get_library_version: call("pointer", "pointer"),
    MPI_Error_string: call("int32", "pointer", "pointer"),
    MPI_Allreduce: call("pointer", "pointer", "int32", handle, handle, handle),
    MPI_Bcast: call("pointer", "int32", handle, "int32", handle),
    MPI_Isend: call("pointer", "int32", handle, "int32", "int32", handle, "pointer"),
    MPI_Irecv: call("pointer", "int32", handle, "int32", "int32", handle, "pointer"),
    MPI_Ibarrier: call(handle, "pointer"),
    MPI_Test: call("pointer", "pointer", "pointer"),
    MPI_Abort: call(handle, "int32"),
    MPI_Finalize: call(),
  });
}
