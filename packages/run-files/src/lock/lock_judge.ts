/** Whether the process that a lock names still runs: seen at once on its own host, elsewhere by its heartbeat. */
import { type BeatTimes, watchBeat } from "./lock_beat.ts";
import { type LockRecord, processStart, readRecord } from "./lock_record.ts";

/** The process that asks. */
export interface Asker {
  readonly own: LockRecord;
  readonly tell: (sentence: string) => void;
  readonly times: BeatTimes;
}

export type Judgement =
  | { readonly kind: "gone" }
  | { readonly kind: "dead"; readonly sentence: string }
  | { readonly kind: "alive" | "unknown"; readonly problem: string };

export const nameOf = ({ pid, host, since }: LockRecord) => `process ${pid} on ${host}, since ${since}`;

/** Finds out whether the process of a lock still runs; nothing is made or written. */
export async function judge(path: string, asker: Asker): Promise<Judgement> {
  const { own } = asker;
  const { record, text } = await readRecord(path);
  if (text === undefined) return { kind: "gone" };
  if (!record) return { kind: "dead", sentence: `${path} is damaged: its process is taken for dead` };
  const { pid, host, boot, startTime } = record;
  const [bootId, namespace] = boot.split(" ");
  const [ownBootId, ownNamespace] = own.boot.split(" ");
  if (host !== own.host) return await judgeByBeat(path, text, nameOf(record), asker);
  if (bootId !== ownBootId) {
    const sentence = `${nameOf(record)}, was writing to this run until its machine went down: taken over`;
    return { kind: "dead", sentence };
  }
  if (namespace !== ownNamespace) {
    return await judgeByBeat(path, text, `${nameOf(record)} in another container`, asker);
  }
  if (processStart(pid) !== startTime) {
    return { kind: "dead", sentence: `${nameOf(record)}, was writing to this run and no longer runs: taken over` };
  }
  return { kind: "alive", problem: `${nameOf(record)}, is writing to it: wait for its end, or stop it` };
}

/** Of a process that cannot be seen from here. */
async function judgeByBeat(path: string, text: string, who: string, { tell, times }: Asker): Promise<Judgement> {
  const seconds = times.deadAfterMs / 1000;
  const onWait = () => tell(`${who}, was writing to this run: waiting ${seconds} s for a sign of life`);
  switch (await watchBeat(path, text, times, onWait)) {
    case "changed":
      return { kind: "gone" };
    case "beats":
      return { kind: "alive", problem: `${who}, is writing to it: wait for its end, or stop it` };
    case "still":
      return {
        kind: "dead",
        sentence: `${who}, was writing to this run and gave no sign of life for ${seconds} s: taken over`,
      };
    case "silent": {
      const advice = `if it no longer runs, remove ${path}`;
      return { kind: "unknown", problem: `${who}, may be writing to it, which cannot be seen from here: ${advice}` };
    }
  }
}
