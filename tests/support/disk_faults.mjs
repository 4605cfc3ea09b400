// Preload: while the file $FAULT_SWITCH exists, everything that would change a file below $FAULT_ROOT fails with its text as code.
// Once a line with the text $HOLD_AFTER is written, nothing goes on until the file $HOLD_UNTIL exists, so that the watcher
// from outside is in time.
import fs from "node:fs";
import fsp from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const root = process.env.FAULT_ROOT;
const { existsSync, readFileSync } = fs;
const fail = (path, call) => {
  if (!String(path).startsWith(root) || !existsSync(process.env.FAULT_SWITCH)) return;
  const code = readFileSync(process.env.FAULT_SWITCH, "utf8").trim();
  if (code === "") return; // it is being written
  throw Object.assign(new Error(`${code}: refused by the test, ${call} '${path}'`), { code });
};

/** Flags may be text or a number, whose lowest bits say read, write or both. */
const writes = (flags) => (typeof flags === "number" ? (flags & 3) !== fs.constants.O_RDONLY : (flags ?? "r") !== "r");

for (const name of ["rename", "mkdir", "link", "rm"]) {
  const real = fsp[name];
  fsp[name] = async (...args) => {
    fail(args[0], name);
    return real(...args);
  };
}
const realOpen = fsp.open;
const paths = new WeakMap();
fsp.open = async (path, flags, ...rest) => {
  if (writes(flags)) fail(path, "open");
  const handle = await realOpen(path, flags, ...rest);
  paths.set(handle, path);
  return handle;
};
const probe = await realOpen(process.execPath);
const handles = Object.getPrototypeOf(probe);
await probe.close();
for (const name of ["writeFile", "sync"]) {
  const real = handles[name];
  handles[name] = async function (...args) {
    fail(paths.get(this) ?? "", name);
    return real.apply(this, args);
  };
}
const descriptors = new Map();
const realOpenSync = fs.openSync;
fs.openSync = (path, flags, ...rest) => {
  if (writes(flags)) fail(path, "open");
  const fd = realOpenSync(path, flags, ...rest);
  descriptors.set(fd, path);
  return fd;
};
const realWriteSync = fs.writeSync;
fs.writeSync = (fd, bytes, ...rest) => {
  const path = descriptors.get(fd) ?? "";
  try {
    fail(path, "write");
  } catch (error) {
    // A full disk takes a part of what it is given.
    if (error.code === "ENOSPC" && typeof bytes !== "string" && bytes.length > 10) realWriteSync(fd, bytes, 0, 10);
    throw error;
  }
  const count = realWriteSync(fd, bytes, ...rest);
  if (isHeldBy(bytes)) hold();
  return count;
};
let text = process.env.HOLD_AFTER;
const isHeldBy = (bytes) => text !== undefined && Buffer.from(bytes).includes(text);
function hold() {
  text = undefined;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  while (!existsSync(process.env.HOLD_UNTIL)) Atomics.wait(pause, 0, 0, 5);
}
syncBuiltinESMExports();
