/**
 * Puts a function around every operation by which this thread changes files below a folder. Named imports of Node's own
 * modules are live, so product code needs no hook for it.
 */
import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { resolve, sep } from "node:path";

/**
 * @typedef {object} FileOperation
 * @property {"create" | "write" | "truncate" | "sync" | "rename" | "link" | "mkdir" | "rm"} kind
 * @property {string} path absolute
 * @property {string} [to] of rename and link
 * @property {Uint8Array} [data] of write, which goes to the end of what is there
 * @property {number} [length] of truncate
 * @property {boolean} [replaces] of write: the file is made or emptied first
 */

/**
 * @param {string} root
 * @param {(operation: FileOperation, run: (data?: Uint8Array) => unknown) => unknown} around calls `run`, or does not;
 *   for a write with other data, if it likes.
 */
export async function aroundFileOperations(root, around) {
  const inside = (path) => typeof path === "string" && `${resolve(path)}${sep}`.startsWith(`${resolve(root)}${sep}`);
  const bytesOf = (data) =>
    typeof data === "string" ? Buffer.from(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const handles = new WeakMap();
  const descriptors = new Map();
  const creates = (flags) => typeof flags === "string" && /[wax]/.test(flags);

  /** Wraps a function whose first argument is a path. */
  const wrap = (module, name, describe) => {
    const original = module[name];
    module[name] = function (...args) {
      const operation = inside(args[0]) ? describe(...args) : undefined;
      if (!operation) return original.apply(this, args);
      const run = (data) => original.apply(this, data ? [args[0], data, ...args.slice(2)] : args);
      return around({ ...operation, path: resolve(args[0]) }, run);
    };
  };
  for (const { module, suffix } of [
    { module: promises, suffix: "" },
    { module: fs, suffix: "Sync" },
  ]) {
    wrap(module, `rename${suffix}`, (_, to) => ({ kind: "rename", to: resolve(to) }));
    wrap(module, `link${suffix}`, (_, to) => ({ kind: "link", to: resolve(to) }));
    wrap(module, `mkdir${suffix}`, () => ({ kind: "mkdir" }));
    wrap(module, `rm${suffix}`, () => ({ kind: "rm" }));
    wrap(module, `unlink${suffix}`, () => ({ kind: "rm" }));
    wrap(module, `writeFile${suffix}`, (_, data) => ({ kind: "write", data: bytesOf(data), replaces: true }));
    wrap(module, `appendFile${suffix}`, (_, data) => ({ kind: "write", data: bytesOf(data) }));
    wrap(module, `truncate${suffix}`, (_, length = 0) => ({ kind: "truncate", length }));
  }

  const { open } = promises;
  promises.open = async (path, flags, ...rest) => {
    const run = () => open(path, flags, ...rest);
    const handle = await (inside(path) && creates(flags)
      ? around({ kind: "create", path: resolve(path) }, run)
      : run());
    if (inside(path)) handles.set(handle, resolve(path));
    return handle;
  };
  const handle = await open(process.execPath);
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const wrapHandle = (name, describe) => {
    const original = prototype[name];
    prototype[name] = function (...args) {
      const path = handles.get(this);
      const run = (data) => original.apply(this, data ? [data, ...args.slice(1)] : args);
      return path === undefined ? run() : around({ ...describe(...args), path }, run);
    };
  };
  for (const name of ["writeFile", "appendFile", "write"])
    wrapHandle(name, (data) => ({ kind: "write", data: bytesOf(data) }));
  for (const name of ["sync", "datasync"]) wrapHandle(name, () => ({ kind: "sync" }));
  wrapHandle("truncate", (length = 0) => ({ kind: "truncate", length }));

  const { openSync } = fs;
  fs.openSync = (path, flags, ...rest) => {
    const run = () => openSync(path, flags, ...rest);
    const descriptor = inside(path) && creates(flags) ? around({ kind: "create", path: resolve(path) }, run) : run();
    if (inside(path)) descriptors.set(descriptor, resolve(path));
    else descriptors.delete(descriptor);
    return descriptor;
  };
  const wrapDescriptor = (name, describe) => {
    const original = fs[name];
    fs[name] = (descriptor, ...args) => {
      const path = descriptors.get(descriptor);
      const run = (data) => original(descriptor, ...(data ? [data, ...args.slice(1)] : args));
      return path === undefined ? run() : around({ ...describe(...args), path }, run);
    };
  };
  wrapDescriptor("writeSync", (data) => ({ kind: "write", data: bytesOf(data) }));
  wrapDescriptor("fsyncSync", () => ({ kind: "sync" }));
  wrapDescriptor("fdatasyncSync", () => ({ kind: "sync" }));
  wrapDescriptor("ftruncateSync", (length = 0) => ({ kind: "truncate", length }));
  syncBuiltinESMExports();
}
