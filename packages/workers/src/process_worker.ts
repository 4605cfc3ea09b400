/**
 * Program of a device's own process, see process_host.ts. It runs the worker thread and answers frames on file descriptor 3;
 * its own thread never computes, so it notices at once when the parent is gone, also while the engine is stuck.
 *
 * Arguments: largest request and largest message, in bytes; the parent's process id, for orphans.ts.
 */
import { Socket } from "node:net";
import { clearSlot, createSlot, encodeError, type Slot } from "@zerogate/core";
import { encodeFrame, readFrames } from "./frames.ts";
import type { Answers, Message, Request } from "./process_messages.ts";
import { startThread } from "./thread_host.ts";

const PULSE_MS = 50;
const [requestBytes, messageBytes] = process.argv.slice(2).map(Number) as [number, number];

/** Nothing here is worth a clean end, and a thread that is stuck in native code allows none. */
const leave = (): void => void process.kill(process.pid, "SIGKILL");

// Ctrl-C and a service manager's stop reach all processes of a job: the parent decides what they mean.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

const socket = new Socket({ fd: 3 });
socket.on("error", leave).on("close", leave);
const host = startThread();
let params: Float32Array | undefined;
let slot: Slot | undefined;

function send(message: Message): void {
  socket.cork(); // header and body in one write
  for (const bytes of encodeFrame(message, messageBytes)) socket.write(bytes);
  socket.uncork();
}

async function answer(request: Request): Promise<Answers[keyof Answers]> {
  if (request.call === "load") {
    params = new Float32Array(new SharedArrayBuffer(4 * request.setup.layout.length));
    return host.api.load({ ...request.setup, params }, request.device);
  }
  if (request.params) params?.set(request.params);
  switch (request.call) {
    case "computeCell": {
      slot ??= createSlot(request.slotSize);
      clearSlot(slot);
      return { result: await host.api.computeCell({ ...request.job, slot }), sums: slot.sums };
    }
    case "evaluateCell":
      return host.api.evaluateCell(request.job);
    case "generate":
      return host.api.generate(request.job);
  }
}

async function serve(request: Request): Promise<void> {
  try {
    send({ type: "answer", answer: await answer(request), pulse: host.pulse() });
  } catch (error) {
    send({ type: "error", error: encodeError(error), pulse: host.pulse() });
  }
}

let lastBeats = 0;
setInterval(() => {
  const pulse = host.pulse();
  if (pulse.beats === lastBeats || socket.writableLength > 0) return; // a parent that does not read hears of it later
  lastBeats = pulse.beats;
  send({ type: "pulse", pulse });
}, PULSE_MS);

async function tellEnd(): Promise<void> {
  const cause = await host.ended;
  const reason = cause instanceof Error ? cause.message : String(cause);
  send({ type: "ended", reason, pulse: host.pulse() });
  socket.end(leave);
}

void tellEnd();
readFrames(
  socket,
  requestBytes,
  (request) => void serve(request as Request),
  (problem) => {
    process.stderr.write(`the coordinator sent ${problem}\n`, leave);
  },
);
