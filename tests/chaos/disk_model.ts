/**
 * What a power cut can leave of recorded file operations, on a disk that keeps its promises about fsync and no other:
 *
 * - bytes of a file are sure once the file was synced after they were written; until then it may hold the old bytes, the new
 *   ones, some of them, or zeros in their place;
 * - a name (made, renamed, removed) is sure once its folder was synced after that; until then each change of a name may be
 *   there or not, independent of others, but a rename is one change and never half of one;
 * - removing a folder removes its entries one by one.
 */
import { basename, dirname } from "node:path";
import { randomBits } from "@zerogate/core/training";

/** As file_operations.mjs records them. */
export interface FileOperation {
  readonly kind: "create" | "write" | "truncate" | "sync" | "rename" | "link" | "mkdir" | "rm";
  readonly path: string;
  readonly to?: string;
  readonly data?: Uint8Array;
  readonly length?: number;
  readonly replaces?: boolean;
}

interface File {
  readonly type: "file";
  readonly id: number;
  /** Bytes that are sure. */
  synced: Buffer;
  now: Buffer;
}

interface Folder {
  readonly type: "folder";
  readonly id: number;
}

type Node = File | Folder;

/** One change of names. */
interface NameChange {
  readonly sets?: { readonly folder: number; readonly name: string; readonly node: Node };
  readonly removes?: { readonly folder: number; readonly name: string; readonly node: Node };
  /** Folders that have not been synced since. */
  readonly unsure: Set<number>;
}

export interface Disk {
  apply(operation: FileOperation): void;
  /** Changes of names, and files, that a power cut now may or may not undo. */
  readonly uncertain: () => { readonly names: number; readonly files: number };
  /**
   * The tree after a power cut: all bytes by path.
   * @param keepsName whether the i-th uncertain change of a name is there
   * @param variant of the i-th uncertain file: 0 the old bytes, 1 the new ones, 2 half of what was added, 3 zeros for it
   */
  cut(keepsName: (i: number) => boolean, variant: (i: number) => number): Map<string, Buffer>;
}

/** @param root absolute path of a folder that stays; everything happens below it. */
export function createDisk(root: string): Disk {
  const changes: NameChange[] = [];
  const files: File[] = [];
  /** How things stand for the running system. */
  const names = new Map<number, Map<string, Node>>([[0, new Map()]]);
  let ids = 1;

  const find = (path: string): Node | undefined => {
    if (path === root) return { type: "folder", id: 0 };
    const parent = find(dirname(path));
    return parent?.type === "folder" ? names.get(parent.id)?.get(basename(path)) : undefined;
  };
  const place = (path: string): { folder: number; name: string } => {
    const parent = find(dirname(path));
    if (parent?.type !== "folder") throw new RangeError(`Cannot replay: ${dirname(path)} is no folder`);
    return { folder: parent.id, name: basename(path) };
  };
  const change = (sets: NameChange["sets"], removes: NameChange["removes"]) => {
    if (removes) names.get(removes.folder)?.delete(removes.name);
    if (sets) names.get(sets.folder)?.set(sets.name, sets.node);
    const unsure = new Set([sets, removes].flatMap((part) => (part ? [part.folder] : [])));
    changes.push({ ...(sets && { sets }), ...(removes && { removes }), unsure });
  };
  const createFile = (path: string): File => {
    const file: File = { type: "file", id: ids++, synced: Buffer.alloc(0), now: Buffer.alloc(0) };
    files.push(file);
    change({ ...place(path), node: file }, undefined);
    return file;
  };
  const openFile = (path: string): File => {
    const node = find(path);
    return node?.type === "file" ? node : createFile(path);
  };
  const makeFolder = (path: string): void => {
    if (find(path)) return;
    makeFolder(dirname(path));
    const node: Folder = { type: "folder", id: ids++ };
    names.set(node.id, new Map());
    change({ ...place(path), node }, undefined);
  };
  const remove = (path: string): void => {
    const node = find(path);
    if (!node) return;
    if (node.type === "folder") for (const name of names.get(node.id)?.keys() ?? []) remove(`${path}/${name}`);
    change(undefined, { ...place(path), node });
  };
  const sync = (path: string): void => {
    const node = find(path);
    if (node?.type === "file") node.synced = node.now;
    else if (node) for (const { unsure } of changes) unsure.delete(node.id);
  };

  return {
    apply({ kind, path, to = "", data = new Uint8Array(), length = 0, replaces }) {
      const node = find(path);
      switch (kind) {
        case "create":
          openFile(path);
          return;
        case "write": {
          const file = openFile(path);
          file.now = replaces ? Buffer.from(data) : Buffer.concat([file.now, data]);
          return;
        }
        case "truncate":
          openFile(path).now = openFile(path).now.subarray(0, length);
          return;
        case "sync":
          sync(path);
          return;
        case "mkdir":
          makeFolder(path);
          return;
        case "rm":
          remove(path);
          return;
        case "rename":
          if (node) change({ ...place(to), node }, { ...place(path), node });
          return;
        case "link":
          if (node) change({ ...place(to), node }, undefined);
      }
    },

    uncertain: () => ({
      names: changes.filter(({ unsure }) => unsure.size > 0).length,
      files: files.filter(({ synced, now }) => synced !== now).length,
    }),

    cut(keepsName, variant) {
      const tree = new Map<number, Map<string, Node>>();
      const entries = (folder: number) => tree.get(folder) ?? tree.set(folder, new Map()).get(folder) ?? new Map();
      let uncertain = 0;
      for (const { sets, removes, unsure } of changes) {
        if (unsure.size > 0 && !keepsName(uncertain++)) continue;
        // A name can go, or move, only where it is.
        if (removes && entries(removes.folder).get(removes.name) !== removes.node) continue;
        if (removes) entries(removes.folder).delete(removes.name);
        if (sets) entries(sets.folder).set(sets.name, sets.node);
      }
      const dirty = files.filter(({ synced, now }) => synced !== now);
      const bytes = new Map(dirty.map((file, i) => [file.id, bytesAfterCut(file, variant(i))]));
      const found = new Map<string, Buffer>();
      const walk = (folder: number, path: string) => {
        for (const [name, node] of entries(folder)) {
          if (node.type === "folder") walk(node.id, `${path}/${name}`);
          else found.set(`${path}/${name}`, bytes.get(node.id) ?? node.now);
        }
        if (entries(folder).size === 0) found.set(`${path}/`, Buffer.alloc(0));
      };
      walk(0, "");
      return found;
    },
  };
}

function bytesAfterCut({ synced, now }: File, variant: number): Buffer {
  const kept = Math.min(synced.length, now.length);
  const half = kept + ((now.length - kept) >> 1);
  if (variant === 0) return synced;
  if (variant === 1) return now;
  if (variant === 2) return now.subarray(0, half);
  return Buffer.concat([now.subarray(0, kept), Buffer.alloc(now.length - kept)]);
}

/** Ways to cut the power at one moment: all of them, or if they are more than `most`, the two extremes and random ones. */
export function* waysToCut(
  { names, files }: { readonly names: number; readonly files: number },
  most: number,
  seed: number,
): Generator<{ keepsName: (i: number) => boolean; variant: (i: number) => number }> {
  const all = 2 ** names * 4 ** files;
  if (all <= most) {
    for (let way = 0; way < all; way++) {
      yield { keepsName: (i) => ((way >> i) & 1) === 1, variant: (i) => (way >> (names + 2 * i)) & 3 };
    }
    return;
  }
  yield { keepsName: () => true, variant: () => 1 };
  yield { keepsName: () => false, variant: () => 0 };
  for (let way = 2; way < most; way++) {
    yield {
      keepsName: (i) => (randomBits(seed, way, i) & 1) === 1,
      variant: (i) => randomBits(seed, way, i, 1) & 3,
    };
  }
}
