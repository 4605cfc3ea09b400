/** Where each of many records stands, in four bytes a record. */
import { growingList } from "../growing_list.ts";
import type { Place } from "../record_problems.ts";

/** Places of records, numbered from 0 as they are added. */
export interface RecordPlaces {
  readonly count: number;
  add(place: Place): void;
  fileOf(record: number): string;
  /** `data.jsonl, line 3` */
  describe(record: number): string;
}

export function recordPlaces(): RecordPlaces {
  const at = growingList();
  /** Files and ways of counting, each from its first record on. */
  const parts: { readonly first: number; readonly file: string; readonly unit: "line" | "record" }[] = [];
  const partOf = (record: number) => parts.findLast(({ first }) => first <= record);
  let count = 0;
  return {
    get count() {
      return count;
    },
    add({ file, line, index }) {
      const unit = line === undefined ? "record" : "line";
      const last = parts.at(-1);
      if (last?.file !== file || last.unit !== unit) parts.push({ first: count, file, unit });
      at.push(line ?? index ?? 0);
      count++;
    },
    fileOf: (record) => partOf(record)?.file ?? "",
    describe(record) {
      const part = partOf(record);
      return part ? `${part.file}, ${part.unit} ${at.at(record)}` : `record ${record}`;
    },
  };
}
