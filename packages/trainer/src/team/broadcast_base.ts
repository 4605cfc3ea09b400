/**
 * `broadcastWeights`: rank 0 alone reads the base and its tokenizer, and every other host gets a copy on its own disk over the network. A file
 * server that 128 hosts ask at once for the same 13 GB would take minutes; a broadcast takes what one reader takes.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { InputError } from "@zerogate/core";
import { cacheFolder, ggufParts, isGgufFile } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import { OWN_TOKENIZER } from "../open/base.ts";
import type { Team } from "./team.ts";

const PIECE_BYTES = 32 << 20;
const PHASE = "sending the base";

interface BaseFile {
  readonly name: string;
  readonly bytes: number;
}

interface Piece {
  readonly name: string;
  readonly begin: number;
  readonly bytes: number;
}

/**
 * Where this rank reads the base: rank 0 where it lies, others in a copy that is kept for the next run. Whether all bases are
 * the same is not decided here: every rank hashes what it reads, and the hashes are compared.
 *
 * @throws what reading or writing throws on any rank, on all.
 */
export async function placeBase(team: Team, config: TrainConfig): Promise<string> {
  if (team.size === 1 || !config.broadcastWeights) return config.model;
  return await place(team, config, config.model, () => true);
}

/** The same for a tokenizer that is not the base's own: of a folder the files that it may be made of, without another base's weights. */
export async function placeTokenizer(team: Team, config: TrainConfig): Promise<string> {
  const { tokenizer } = config;
  if (team.size === 1 || !config.broadcastWeights || tokenizer === OWN_TOKENIZER) return tokenizer;
  return await place(team, config, tokenizer, (name) => ofTokenizers.test(name));
}

const ofTokenizers = /\.(?:json|jinja|model|tiktoken)$|^(?:merges|vocab)\.txt$/i;

/** @param isSent says which files of a folder are sent; of a GGUF file all parts are. */
async function place(
  team: Team,
  config: TrainConfig,
  path: string,
  isSent: (name: string) => boolean,
): Promise<string> {
  const { key, folder, name, files } = await team.fromFirst(PHASE, () => listFiles(path, isSent));
  let copy = "";
  const missing = await team.collect(PHASE, async () => {
    copy = join(copiesOf(config), "bases", key);
    return !team.isFirst && !existsSync(copy);
  });
  if (missing.includes(true)) await send(team, folder, files, copy);
  return team.isFirst ? path : join(copy, name);
}

function copiesOf({ cacheDir }: TrainConfig): string {
  const folder = cacheDir ?? cacheFolder();
  if (folder !== undefined) return folder;
  throw new InputError("Cannot send the base", "this user has no home folder to keep the copy in: give --cache-dir");
}

interface ListedFiles {
  /** Says when a file has changed. */
  readonly key: string;
  readonly folder: string;
  /** What is meant in the folder: a file of that name; the folder itself if it is empty. */
  readonly name: string;
  readonly files: readonly BaseFile[];
}

/** Files at the top of the folder, or the parts of a GGUF file. */
async function listFiles(path: string, isSent: (name: string) => boolean): Promise<ListedFiles> {
  const isFile = await isGgufFile(path);
  const folder = isFile ? dirname(path) : path;
  const names = isFile ? [...(await ggufParts(path)).keys()] : (await namesIn(folder)).filter(isSent);
  const stats = await Promise.all(names.toSorted().map(async (name) => ({ name, of: await stat(join(folder, name)) })));
  const found = stats.filter(({ of }) => of.isFile());
  const facts = found.map(({ name, of }) => [name, of.size, of.mtimeMs]);
  const key = createHash("sha256")
    .update(JSON.stringify([path, facts]))
    .digest("hex")
    .slice(0, 16);
  const files = found.map(({ name, of }) => ({ name, bytes: of.size }));
  return { key, folder, name: isFile ? basename(path) : "", files };
}

const namesIn = (folder: string): Promise<string[]> =>
  readdir(folder).catch((cause: unknown) => {
    throw new InputError("Cannot send the base", `there is no folder ${folder}`, { cause });
  });

/** While rank 0 reads a piece, the others write the one before. */
async function send(team: Team, from: string, files: readonly BaseFile[], to: string): Promise<void> {
  const own = team.isFirst ? undefined : `${to}.${team.rank}-${process.pid}.tmp`;
  const buffer = new Uint8Array(new SharedArrayBuffer(PIECE_BYTES));
  const opened = new Map<string, FileHandle>();
  const handle = async (name: string) => {
    const known = opened.get(name) ?? (await open(join(own ?? from, name), own === undefined ? "r" : "wx"));
    opened.set(name, known);
    return known;
  };
  const closeAll = () => Promise.all([...opened.values()].map((file) => file.close()));
  const read = async ({ name, begin, bytes }: Piece) => {
    const { bytesRead } = await (await handle(name)).read(buffer, 0, bytes, begin);
    if (bytesRead < bytes) throw new Error(`Cannot send the base: ${join(from, name)} became shorter meanwhile`);
  };
  const write = async ({ name, begin, bytes }: Piece) => {
    const { bytesWritten } = await (await handle(name)).write(buffer, 0, bytes, begin);
    if (bytesWritten < bytes) throw new Error(`Cannot write ${join(to, name)}: the disk is full`);
  };
  try {
    await team.agree(PHASE, async () => {
      if (own !== undefined) await mkdir(own, { recursive: true });
    });
    let received: Piece | undefined;
    for (const piece of files.flatMap(piecesOf)) {
      const last = received;
      await team.agree(PHASE, async () => {
        if (own === undefined) await read(piece);
        else if (last) await write(last);
      });
      await team.broadcast(PHASE, buffer.subarray(0, piece.bytes));
      received = piece;
    }
    await team.agree(PHASE, async () => {
      if (own === undefined) return;
      if (received) await write(received);
      await closeAll();
      await rename(own, to).catch((error: unknown) => {
        if (!existsSync(to)) throw error; // another rank shares this disk and was first
      });
    });
  } finally {
    await closeAll();
    if (own !== undefined) await rm(own, { recursive: true, force: true }).catch(() => {}); // the first failure is the one to tell
  }
}

/** A file of no bytes is one piece, so that it comes into being. */
function piecesOf({ name, bytes }: BaseFile): Piece[] {
  const pieces: Piece[] = [];
  for (let begin = 0; begin < bytes || begin === 0; begin += PIECE_BYTES) {
    pieces.push({ name, begin, bytes: Math.min(PIECE_BYTES, bytes - begin) });
  }
  return pieces;
}
