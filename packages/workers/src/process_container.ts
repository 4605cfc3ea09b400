/**
 * A device in a process of its own: for engines that know one card per process, and for code that may crash. The process runs
 * the same worker thread (process_worker.ts) and speaks frames over its file descriptor 3. It ends when we do, by that.
 *
 * Traffic per cell: 8 bytes a parameter up (its sum), 4 down if the parameters changed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Duplex, Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { addSlot, decodeError } from "@zerogate/core/training";
import { builtFile } from "./built_file.ts";
import type { Container } from "./container.ts";
import type { AdapterVersion, DeviceApi, DeviceJob, DeviceSetup } from "./device_api.ts";
import { encodeFrame, readFrames } from "./frames.ts";
import { endStoppedOrphans } from "./orphans.ts";
import { processorWait } from "./patience.ts";
import type { Answers, Message, Request } from "./process_messages.ts";
import type { PulseReading } from "./pulse.ts";

/** What every message may take besides its arrays; the layout of a job, too. */
const MESSAGE_BYTES = 2 ** 20;
/** A cell that is scored comes with its tokens: of a context of a million, a number of 4 bytes for each, its place, and labels. */
const SCORED_BYTES = 16 * 2 ** 20;
const OUTPUT_CHARACTERS = 1000;

const program = (): string => fileURLToPath(builtFile("process_worker"));

/** Ends what an earlier coordinator left behind, if it was killed while a process of its was stopped. */
export function endLeftProcesses(): void {
  endStoppedOrphans(program());
}

/** @param env added to this process's environment. */
export function startProcess(setup: DeviceSetup, maxCells: number, env: Readonly<Record<string, string>>): Container {
  const { requestBytes, messageBytes } = frameSizes(setup, maxCells);
  const child = spawn(process.execPath, [program(), String(requestBytes), String(messageBytes), String(process.pid)], {
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  if (!hasStreams(child)) return withoutProcess(child);
  const socket = child.stdio[3] as Duplex;
  const output = tailOf([child.stdout, child.stderr]);
  let pulse: PulseReading = { beats: 0, operation: "", thread: 0 };
  /** Versions of the jobs' parameters that the process has. */
  const sent = new Map<string, number>();
  let waiting: { resolve(answer: Answers[keyof Answers]): void; reject(error: Error): void } | undefined;

  const ended = new Promise<unknown>((resolve) => {
    const end = (reason: string) => {
      const said = output();
      resolve(said === "" ? reason : `${reason}; it wrote: ${said}`);
    };
    child.once("error", (error) => end(`its process did not start: ${error.message}`));
    child.once("exit", (code, signal) => {
      const reason = signal ? `its process was ended by ${signal}` : `its process ended with code ${code}`;
      // What it wrote last may still be in the pipe; a process of its own that holds the pipe open must not delay us.
      void Promise.race([once(child, "close"), sleep(100)]).then(() => end(reason));
    });
    const onMessage = (message: unknown) => {
      const received = message as Message;
      pulse = received.pulse;
      if (received.type === "ended") end(received.reason);
      else if (received.type === "answer") waiting?.resolve(received.answer);
      else if (received.type === "error") waiting?.reject(decodeError(received.error));
    };
    readFrames(socket, messageBytes, onMessage, (problem) => end(`its process sent ${problem}`));
    socket.on("error", () => {}); // a broken pipe: the process has ended, which is reported above
  });

  const ask = async <Call extends Request["call"]>(request: Request & { call: Call }): Promise<Answers[Call]> => {
    const answer = await new Promise<Answers[keyof Answers]>((resolve, reject) => {
      waiting = { resolve, reject };
      for (const bytes of encodeFrame(request, requestBytes)) socket.write(bytes);
    });
    return answer as Answers[Call];
  };
  const paramsOf = (adapter: AdapterVersion | undefined) => {
    if (!adapter || sent.get(adapter.job) === adapter.version) return undefined;
    sent.set(adapter.job, adapter.version);
    return setup.jobs.find(({ id }) => id === adapter.job)?.params;
  };
  const api: DeviceApi = {
    load({ weights, engine, config, jobs, tokens }, device) {
      if ("bytes" in weights) throw new RangeError("Cannot load a process: its weights must be named by their folder");
      return ask({ call: "load", setup: { weights, engine, config, jobs: jobs.map(withoutParams), tokens }, device });
    },
    async computeCell({ slot, clears, ...request }) {
      const slotSize = { parameters: slot.parameters, maxCells: slot.maxCells };
      const { result, sums } = await ask({ call: "computeCell", request, slotSize, params: paramsOf(request) });
      if (clears) slot.sums.set(sums);
      else addSlot(slot, { ...slotSize, sums });
      return result;
    },
    evaluateCell: (request) => ask({ call: "evaluateCell", request, params: paramsOf(request.adapter) }),
    scoreCell: (request) => ask({ call: "scoreCell", request, params: request.adapters.map(paramsOf) }),
    generate: (request) => ask({ call: "generate", request, params: paramsOf(request.adapter) }),
  };

  return {
    api,
    pulse: () => pulse,
    // Until it has sent its thread's number, its main thread starts it.
    waitedMs: () => processorWait(child.pid ?? 0, pulse.thread || (child.pid ?? 0)),
    ended,
    async stop() {
      child.kill("SIGKILL");
      if (isRunning(child)) await once(child, "exit");
      socket.destroy();
    },
  };
}

/** The most that a request and an answer take. */
function frameSizes(setup: DeviceSetup, maxCells: number): { requestBytes: number; messageBytes: number } {
  const lengths = setup.jobs.map(({ layout }) => layout.length);
  const all = lengths.reduce((sum, length) => sum + length, 0);
  return {
    requestBytes: MESSAGE_BYTES * (1 + setup.jobs.length) + SCORED_BYTES + 4 * all + tokenBytes(setup),
    messageBytes: MESSAGE_BYTES + SCORED_BYTES + 8 * (Math.max(0, ...lengths) + 3 + maxCells),
  };
}

/** Node makes no streams if this process has no file descriptor left. */
const hasStreams = (child: { readonly stdio?: ChildProcess["stdio"] }): boolean => child.stdio !== undefined;

/** Stands for a process that could not be started; `ended` says why. */
function withoutProcess(child: ChildProcess): Container {
  const unanswered = () => new Promise<never>(() => {});
  return {
    api: {
      load: unanswered,
      computeCell: unanswered,
      evaluateCell: unanswered,
      scoreCell: unanswered,
      generate: unanswered,
    },
    pulse: () => ({ beats: 0, operation: "", thread: 0 }),
    waitedMs: () => 0,
    ended: once(child, "error").then(([error]) => `its process did not start: ${(error as Error).message}`),
    async stop() {},
  };
}

const isRunning = ({ pid, exitCode, signalCode }: ChildProcess) =>
  pid !== undefined && exitCode === null && signalCode === null;

const withoutParams = ({ id, layout, sharesBeginnings, skipsUnlabelled }: DeviceJob): Omit<DeviceJob, "params"> => {
  return { id, layout, sharesBeginnings, skipsUnlabelled };
};

function tokenBytes({ tokens }: DeviceSetup): number {
  return Object.values(tokens).reduce((sum, set) => {
    const { offsets, images } = set;
    const ofImages = images ? images.rowOf.byteLength + images.rows.values.byteLength : 0;
    const ofTokens = "ids" in set ? set.ids.byteLength + set.target.byteLength : set.labelled.byteLength;
    return sum + ofTokens + offsets.byteLength + ofImages;
  }, 0);
}

/** The last that somebody wrote, on one line. */
function tailOf(streams: readonly (Readable | null)[]): () => string {
  let tail = "";
  for (const stream of streams) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      tail = (tail + text).slice(-OUTPUT_CHARACTERS);
    });
  }
  return () => tail.trim().replaceAll(/\s*\n\s*/g, " ⏎ ");
}
