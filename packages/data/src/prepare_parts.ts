/** Data in parts, each with its own columns and its own template, as the tokens of one set: in memory, or in a file of the cache. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { Template, TokenSet } from "@zerogate/core";
import { reason, type SampleTokens } from "@zerogate/core/node";
import type { FieldRule } from "./fields/field_map.ts";
import { type LargePrepareOptions, type PreparedTokens, prepareTokens } from "./prepare.ts";
import type { RecordLengths } from "./record_lengths.ts";
import { MAX_LISTED } from "./record_problems.ts";
import { readTokenCache, writeTokenCache } from "./token_cache.ts";
import { allocateTokens, bytesOf, hashHead, hashTokens, measureSamples, tokenStats } from "./token_set.ts";
import { type SpilledTokens, TOKEN_BYTES } from "./token_sink.ts";

/** A part of the data: files, and what is read of them otherwise than of the others. */
export interface DataPart {
  readonly paths: string | readonly string[];
  /** @default those of all parts */
  readonly fields?: FieldRule | undefined;
  /** @default that of all parts */
  readonly template?: Template | undefined;
}

/** All parts in tokens. */
export interface PreparedParts extends PreparedTokens<SampleTokens> {
  /** For each part the number behind its last record: `recordOf` goes on from part to part. */
  readonly recordEnds: readonly number[];
}

/**
 * Reads and tokenises each part as `prepareTokens` does, with a place of its own in the cache, and joins them: the tokens, and
 * their hash, are those of all files read at once.
 *
 * @throws as `prepareTokens` does.
 */
export async function prepareParts(
  parts: readonly DataPart[],
  options: Omit<LargePrepareOptions, "paths">,
): Promise<PreparedParts> {
  const prepared: PreparedTokens<SampleTokens>[] = [];
  for (const { paths, fields, template } of parts) {
    const own = { ...options, paths, ...(fields && { fields }), ...(template && { template }) };
    prepared.push(await prepareTokens(own));
  }
  const recordEnds: number[] = [];
  for (const { recordOf, images } of prepared) {
    const last = Math.max(recordOf.at(-1) ?? -1, images.at(-1)?.record ?? -1);
    recordEnds.push((recordEnds.at(-1) ?? 0) + last + 1);
  }
  const begins = [0, ...recordEnds];
  const recordOf = joinNumbers(prepared.map((part, i) => part.recordOf.map((record) => record + (begins[i] ?? 0))));
  const rest = {
    recordOf,
    skipped: sumOf(prepared, ({ skipped }) => skipped),
    problems: prepared.flatMap(({ problems }) => problems).slice(0, MAX_LISTED),
    unread: joinUnread(prepared),
  };
  const lost = {
    truncated: sumOf(prepared, ({ stats }) => stats.truncated),
    droppedNoTarget: sumOf(prepared, ({ stats }) => stats.droppedNoTarget),
    uncut: joinLengths(prepared.map(({ stats }) => stats.uncut)),
  };
  const tokens = await joinTokens(
    prepared.map((part) => part.tokens),
    { ...rest, lost },
    options,
  );
  return {
    ...rest,
    tokens,
    stats: tokenStats(tokens, lost),
    files: prepared.flatMap(({ files }) => files),
    images: prepared.flatMap((part, i) =>
      part.images.map((image) => ({ ...image, record: image.record + (begins[i] ?? 0) })),
    ),
    isCached: prepared.every(({ isCached }) => isCached),
    recordEnds,
  };
}

const sumOf = <T>(items: readonly T[], count: (item: T) => number): number =>
  items.reduce((sum, item) => sum + count(item), 0);

function joinNumbers(lists: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(sumOf(lists, ({ length }) => length));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all;
}

function joinUnread(prepared: readonly PreparedTokens<SampleTokens>[]): PreparedTokens["unread"] {
  const records = new Map<string, number>();
  for (const { unread } of prepared)
    for (const field of unread) records.set(field.name, (records.get(field.name) ?? 0) + field.records);
  const fields = Array.from(records, ([name, count]) => ({ name, records: count }));
  return fields.toSorted((a, b) => b.records - a.records || (a.name < b.name ? -1 : 1));
}

/** Lengths that keep a share of the records of every part, and so of all of them. */
function joinLengths(lengths: readonly RecordLengths[]): RecordLengths {
  const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), 0);
  const [first] = lengths;
  return {
    longest: most(lengths.map(({ longest }) => longest)),
    keeping: (first?.keeping ?? []).map(({ share }, i) => ({
      share,
      some: most(lengths.map(({ keeping }) => keeping[i]?.some ?? 0)),
      whole: most(lengths.map(({ keeping }) => keeping[i]?.whole ?? 0)),
    })),
  };
}

type Facts = Pick<PreparedTokens, "recordOf" | "skipped" | "problems" | "unread"> & {
  readonly lost: Parameters<typeof tokenStats>[1];
};

/** In memory if they fit there, as far as there is a cache for those that do not. */
async function joinTokens(
  sets: readonly SampleTokens[],
  { lost, ...facts }: Facts,
  { cacheDir, memoryBytes, onWarning }: Pick<LargePrepareOptions, "cacheDir" | "memoryBytes" | "onWarning">,
): Promise<SampleTokens> {
  const inMemory = sets.filter((set): set is TokenSet => "ids" in set);
  const tokens = sumOf(sets, ({ offsets }) => offsets.at(-1) ?? 0);
  const fits = cacheDir === undefined || tokens * TOKEN_BYTES <= memoryBytes;
  if (inMemory.length === sets.length && fits) return joinSets(inMemory);
  const folder = cacheDir ?? "";
  const key = createHash("sha256").update(JSON.stringify(["joined", ...sets.map(({ hash }) => hash), facts, lost]));
  const name = key.digest("hex");
  try {
    const cached = await readTokenCache(folder, name, memoryBytes);
    if (cached) return cached.tokens;
  } catch (error) {
    onWarning?.(`${reason(error)}: joining the parts again`);
  }
  const spilled = await spilledOf(sets, tokens, folder);
  return await writeTokenCache(folder, name, {
    ...facts,
    tokens: spilled,
    stats: tokenStats(spilled, lost),
    images: [],
  });
}

function joinSets(sets: readonly TokenSet[]): TokenSet {
  const joined = allocateTokens(
    sumOf(sets, ({ ids }) => ids.length),
    sumOf(sets, ({ offsets }) => offsets.length - 1),
  );
  let [token, sample] = [0, 0];
  for (const { ids, target, offsets } of sets) {
    joined.ids.set(ids, token);
    joined.target.set(target, token);
    for (let s = 1; s < offsets.length; s++) joined.offsets[sample + s] = token + offsets[s]!;
    token += ids.length;
    sample += offsets.length - 1;
  }
  return { ...joined, hash: hashTokens(joined) };
}

/** All sets as one that is read from where they lie. */
async function spilledOf(sets: readonly SampleTokens[], tokens: number, folder: string): Promise<SpilledTokens> {
  const samples = sumOf(sets, ({ offsets }) => offsets.length - 1);
  const offsets = new Float64Array(new SharedArrayBuffer(8 * (samples + 1)));
  const labelled = new Int32Array(new SharedArrayBuffer(4 * samples));
  let [token, sample] = [0, 0];
  for (const set of sets) {
    labelled.set(measureSamples(set).labelled, sample);
    for (let s = 1; s < set.offsets.length; s++) offsets[sample + s] = token + set.offsets[s]!;
    token += set.offsets.at(-1) ?? 0;
    sample += set.offsets.length - 1;
  }
  const files = { folder, ids: () => bytesOfAll(sets, "ids"), target: () => bytesOfAll(sets, "target") };
  const hash = createHash("sha256").update(hashHead(tokens, samples));
  for (const part of [files.ids(), files.target()]) for await (const bytes of part) hash.update(bytes);
  return { offsets, labelled, hash: hash.update(bytesOf(offsets)).digest("hex"), files };
}

async function* bytesOfAll(sets: readonly SampleTokens[], what: "ids" | "target"): AsyncGenerator<Uint8Array> {
  for (const set of sets) {
    if ("ids" in set) yield what === "ids" ? bytesOf(set.ids) : set.target;
    else {
      const [start, width] = what === "ids" ? [set.idsAt, 4] : [set.targetAt, 1];
      yield* createReadStream(set.path, { start, end: start + width * (set.offsets.at(-1) ?? 0) - 1 });
    }
  }
}
