/** Reads TensorBoard event files as `tensorboard.ts` writes them, as far as their checksums are right. */
import { maskedCrc32c } from "./crc32c.ts";

export interface EventSummary {
  readonly events: number;
  readonly lastStep: number;
  /** Names of the curves, in the order of their appearance. */
  readonly curves: readonly string[];
  /** Why reading ended before the end of the file. */
  readonly problem: string | undefined;
}

/** Length, its checksum, and the checksum of the data. */
const FRAME_BYTES = 16;

/** Counts what a file of TensorBoard holds, up to the first damage. */
export function readEvents(file: Uint8Array): EventSummary {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const curves = new Set<string>();
  let [events, lastStep, at] = [0, 0, 0];
  const ended = (problem?: string): EventSummary => ({ events, lastStep, curves: [...curves], problem });
  while (at < file.length) {
    const room = file.length - at;
    const length = room < FRAME_BYTES ? 0 : Number(view.getBigUint64(at, true));
    if (room < FRAME_BYTES + length) return ended(`it is cut off in event ${events + 1}`);
    const data = file.subarray(at + 12, at + 12 + length);
    const isRight =
      view.getUint32(at + 8, true) === maskedCrc32c(file.subarray(at, at + 8)) &&
      view.getUint32(at + 12 + length, true) === maskedCrc32c(data);
    if (!isRight) return ended(`event ${events + 1} has another checksum than it should`);
    const { step, tags } = parseEvent(data);
    lastStep = Math.max(lastStep, step);
    for (const tag of tags) curves.add(tag);
    events++;
    at += FRAME_BYTES + length;
  }
  return ended();
}

/** Field 2 is the step, field 5 a summary of values (1), each with its tag (1). */
function parseEvent(data: Uint8Array): { step: number; tags: string[] } {
  const fields = [...protobufFields(data)];
  const step = fields.find(({ field }) => field === 2)?.value;
  const inside = (message: unknown, wanted: number) =>
    message instanceof Uint8Array ? [...protobufFields(message)].filter(({ field }) => field === wanted) : [];
  const values = fields.filter(({ field }) => field === 5).flatMap(({ value }) => inside(value, 1));
  const tags = values.flatMap(({ value }) => inside(value, 1)).map(({ value }) => value);
  const texts = tags.flatMap((tag) => (tag instanceof Uint8Array ? [new TextDecoder().decode(tag)] : []));
  return { step: typeof step === "number" ? step : 0, tags: texts };
}

/** The fields of a message: numbers of varints, bytes of all else. Ends if the message does not hold what it claims. */
function* protobufFields(data: Uint8Array): Generator<{ field: number; value: number | Uint8Array }> {
  let at = 0;
  const varint = (): number => {
    let [value, scale] = [0, 1];
    for (; at < data.length; scale *= 128) {
      const byte = data[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < data.length) {
    const key = varint();
    const wire = key & 7;
    if (wire === 0) {
      yield { field: key >> 3, value: varint() };
      continue;
    }
    const length = wire === 1 ? 8 : wire === 5 ? 4 : wire === 2 ? varint() : data.length;
    if (at + length > data.length) return;
    yield { field: key >> 3, value: data.subarray(at, at + length) };
    at += length;
  }
}
