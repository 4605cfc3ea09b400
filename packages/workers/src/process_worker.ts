/**
 * Program of a device's own process, see process_container.ts. It runs the worker thread and answers frames on file descriptor 3;
 * its own thread never computes, so it notices at once when the parent is gone, also while the engine is stuck.
 *
 * Arguments: largest request and largest message, in bytes; the parent's process id, for orphans.ts.
 */
import { Socket } from "node:net";
import { createSlot, encodeError, type Slot } from "@zerogate/core/training";
import type { AdapterVersion } from "./device_api.ts";
import { encodeFrame, readFrames } from "./frames.ts";
import type { Answers, Message, Request } from "./process_messages.ts";
import { sharedMemory } from "./shared_memory.ts";
import { startThread } from "./thread_container.ts";

const PULSE_MS = 50;
const [requestBytes, messageBytes] = process.argv.slice(2).map(Number) as [number, number];

/** Nothing here is worth a clean end, and a thread that is stuck in native code allows none. */
const leave = (): void => void process.kill(process.pid, "SIGKILL");

// Ctrl-C and a service manager's stop reach all processes of a job: the parent decides what they mean.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

const socket = new Socket({ fd: 3 });
socket.on("error", leave).on("close", leave);
const container = startThread();
/** By job. */
const params = new Map<string, Float32Array>();
const slots = new Map<string, Slot>();

function send(message: Message): void {
  socket.cork(); // header and body in one write
  for (const bytes of encodeFrame(message, messageBytes)) socket.write(bytes);
  socket.uncork();
}

async function answer(message: Request): Promise<Answers[keyof Answers]> {
  if (message.call === "load") {
    const jobs = message.setup.jobs.map((job) => {
      return { ...job, params: new Float32Array(new SharedArrayBuffer(4 * job.layout.length)) };
    });
    for (const job of jobs) params.set(job.id, job.params);
    return container.api.load({ ...message.setup, jobs }, message.device);
  }
  switch (message.call) {
    case "computeCell": {
      const { request, slotSize } = message;
      take(request, message.params);
      const slot = slots.get(request.job) ?? createSlot(slotSize, sharedMemory);
      slots.set(request.job, slot);
      return { result: await container.api.computeCell({ ...request, slot, clears: true }), sums: slot.sums };
    }
    case "evaluateCell":
      take(message.request.adapter, message.params);
      return container.api.evaluateCell(message.request);
    case "scoreCell": {
      const { request, params: sent } = message;
      for (const [n, adapter] of request.adapters.entries()) take(adapter, sent[n]);
      return container.api.scoreCell(request);
    }
    case "generate":
      take(message.request.adapter, message.params);
      return container.api.generate(message.request);
  }
}

/** Puts parameters that came with a request where the thread reads them. */
function take(adapter: AdapterVersion | undefined, sent: Float32Array | undefined): void {
  if (adapter && sent) params.get(adapter.job)?.set(sent);
}

async function serve(request: Request): Promise<void> {
  try {
    send({ type: "answer", answer: await answer(request), pulse: container.pulse() });
  } catch (error) {
    send({ type: "error", error: encodeError(error), pulse: container.pulse() });
  }
}

let lastBeats = 0;
setInterval(() => {
  const pulse = container.pulse();
  if (pulse.beats === lastBeats || socket.writableLength > 0) return; // a parent that does not read hears of it later
  lastBeats = pulse.beats;
  send({ type: "pulse", pulse });
}, PULSE_MS);

async function tellEnd(): Promise<void> {
  const cause = await container.ended;
  const reason = cause instanceof Error ? cause.message : String(cause);
  send({ type: "ended", reason, pulse: container.pulse() });
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
