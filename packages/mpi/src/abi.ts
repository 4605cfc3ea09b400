/**
 * The three binary interfaces of MPI libraries, and which one a library has. Open MPI's handles are addresses of exported
 * variables; the MPICH family (Intel MPI, MVAPICH, Cray) has fixed 32-bit numbers; MPI-5 standardises small constants.
 */
import type { Address, Library } from "@zerogate/ffi";

type Handle = Address | number;

export interface Abi {
  readonly name: "Open MPI" | "MPICH" | "MPI-5";
  /** The C type of a handle. */
  readonly handle: "pointer" | "int32";
  readonly world: Handle;
  readonly errorsReturn: Handle;
  readonly int64: Handle;
  readonly uint8: Handle;
  readonly sum: Handle;
  /** Buffer argument that says: the result takes the place of the input. */
  readonly inPlace: Address;
  readonly statusIgnore: Address;
  readonly funneled: number;
}

/** Newer Open MPI and MPICH export MPI_Abi_get_version too and answer -1, so it is asked and not just looked for. */
export function abiOf(library: Library): Abi {
  if (library.has("MPI_Abi_get_version")) {
    const ask = library.functions({ MPI_Abi_get_version: { result: "int32", parameters: ["pointer", "pointer"] } });
    const major = new Int32Array(1);
    ask.MPI_Abi_get_version(major, new Int32Array(1));
    if ((major[0] ?? 0) >= 1) return mpi5;
  }
  return library.has("ompi_mpi_comm_world") ? openMpiAbi(library) : mpich;
}

function openMpiAbi(library: Library): Abi {
  return {
    name: "Open MPI",
    handle: "pointer",
    world: library.address("ompi_mpi_comm_world"),
    errorsReturn: library.address("ompi_mpi_errors_return"),
    int64: library.address("ompi_mpi_int64_t"),
    uint8: library.address("ompi_mpi_uint8_t"),
    sum: library.address("ompi_mpi_op_sum"),
    inPlace: 1n,
    statusIgnore: 0n,
    funneled: 1,
  };
}

export const mpich: Abi = {
  name: "MPICH",
  handle: "int32",
  world: 0x44000000,
  errorsReturn: 0x54000001,
  int64: 0x4c00083a,
  uint8: 0x4c00013b,
  sum: 0x58000003,
  inPlace: 2n ** 64n - 1n,
  statusIgnore: 1n,
  funneled: 1,
};

const mpi5: Abi = {
  name: "MPI-5",
  handle: "pointer",
  world: 0x101n,
  errorsReturn: 0x143n,
  int64: 0x258n,
  uint8: 0x241n,
  sum: 0x21n,
  inPlace: 1n,
  statusIgnore: 0n,
  funneled: 1024,
};
