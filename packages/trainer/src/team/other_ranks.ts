/** What ranks other than the first have in place of the run's files, its lock and its display: they compute, and write nothing. */
import type { CheckpointWriter, RunLock } from "@zerogate/run-files";
import type { RunRecords } from "../run/context.ts";
import type { RunView } from "../run/view.ts";

export const noWriter: CheckpointWriter = {
  ready: Promise.resolve(),
  async save() {},
  async copied() {},
  async drain() {},
  rescue: async () => undefined,
  async forget() {},
  async close() {},
};

export const noRecords: RunRecords = {
  metrics: { write() {}, close() {} },
  receipt: { add() {}, addLater() {}, settle() {}, chain: () => undefined, close() {} },
  events: { write() {}, close() {} },
  samples: { has: () => false, write() {}, close() {} },
};

export const noLock: RunLock = { async check() {}, async confirm() {}, async release() {} };

/** Warnings about the inputs are those of rank 0; what happens to workers here only this rank can say. */
export function rankView(rank: number, tell: (line: string) => void): RunView {
  return {
    phase() {},
    start() {},
    metrics() {},
    samples() {},
    checkpoint() {},
    warn() {},
    note() {},
    report: () => Promise.reject(new Error("Cannot write the report: the first rank does it")),
    failed() {},
    device(event) {
      if (event.type !== "worker-died") return;
      const { device, lastOperation, reason, restarts } = event;
      const after = restarts ? "it is started again" : "it died too often and is not started again";
      tell(`rank ${rank}: worker ${device} died at ${lastOperation} (${reason}): ${after}`);
    },
  };
}
