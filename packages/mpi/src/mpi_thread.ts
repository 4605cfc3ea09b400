/** The one thread of a process that calls MPI (MPI_THREAD_FUNNELED), serving one request at a time. */
import { parentPort, workerData } from "node:worker_threads";
import { encodeError } from "@zerogate/core/training";
import { openMeetingPlace } from "./meeting.ts";
import type { About, ThreadData, ThreadReply, ThreadRequest } from "./mpi_communicator.ts";
import { startMpi } from "./mpi_library.ts";

const { candidates } = workerData as ThreadData;

function open() {
  const mpi = startMpi(candidates);
  return { mpi, place: openMeetingPlace(mpi) };
}

let opened: ReturnType<typeof open> | undefined;

async function answer(request: ThreadRequest): Promise<About | undefined> {
  if (request.kind === "open") {
    opened = open();
    const { rank, size, about } = opened.mpi;
    return { rank, size, about };
  }
  if (!opened) throw new RangeError("Cannot use MPI before it is open");
  const { mpi, place } = opened;
  switch (request.kind) {
    case "sum":
      await place.meet({ kind: "sum", length: request.values.length }, request.meeting);
      mpi.sumInPlace(request.values);
      return undefined;
    case "broadcast":
      await place.meet({ kind: "broadcast", length: request.bytes.length }, request.meeting);
      mpi.broadcastFromZero(request.bytes);
      return undefined;
    case "close":
      await place.meet({ kind: "close", length: 0 }, request.meeting);
      mpi.finalize();
      return undefined;
    case "abort":
      mpi.abort(1);
      return undefined;
  }
}

parentPort?.on("message", (request: ThreadRequest) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  const reply = (message: ThreadReply) => parentPort?.postMessage(message);
  answer(request).then(
    (value) => reply({ value }),
    (error: unknown) => reply({ error: encodeError(error) }),
  );
});
