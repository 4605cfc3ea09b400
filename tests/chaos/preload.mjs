/**
 * Loaded before `zerogate` (NODE_OPTIONS --import), in its main thread and its worker threads: does what the environment
 * variable ZEROGATE_CHAOS asks for, in JSON.
 *
 *   root      the run directory
 *   note      file to which it writes, before it strikes, what it is about to do
 *   file      { kind, at, how }: SIGKILL at the `at`-th operation of that kind on a file below root, "before" or "after" it
 *             or with "half" of its data written
 *   point     { name, at, how }: SIGKILL at a point of the coordinator: "reduce", "commit", "evaluate", see points.mjs
 *   device    { kind, device, at } or { kind, longerThan?, shorterThan? }: a fault of a device, see chaos_engine.mjs
 *   engine    { options, delaySeed }: options to change of every device's engine, and delays at random, see chaos_engine.mjs
 *   jumps     true: the time of day is off by up to ten years, another time at every look
 *   record    file that gets every file operation, serialised by node:v8 in frames of u32 bytes
 */
import { appendFileSync, writeFileSync } from "node:fs";
import { register } from "node:module";
import { serialize } from "node:v8";
import { isMainThread } from "node:worker_threads";
import { aroundFileOperations } from "./file_operations.mjs";
import { installPoints } from "./points.mjs";

const plan = JSON.parse(process.env.ZEROGATE_CHAOS ?? "{}");
// Bound here: below they are wrapped.
const [append, write] = [appendFileSync, writeFileSync];

/** Does not return. */
function die(what) {
  write(plan.note, what);
  process.kill(process.pid, "SIGKILL");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

if (plan.file) {
  let left = plan.file.at;
  await aroundFileOperations(plan.root, (operation, run) => {
    const { kind, how } = plan.file;
    if (operation.kind !== kind || --left > 0) return run();
    const what = `file ${kind} ${how}`;
    if (how === "before" || (how === "half" && !operation.data)) die(what);
    const done = run(how === "half" ? operation.data.subarray(0, operation.data.length >> 1) : undefined);
    if (!(done instanceof Promise)) die(what);
    return done.then(() => die(what));
  });
}

if (plan.jumps) {
  const now = Date.now;
  const TEN_YEARS_MS = 3.15e11;
  Date.now = () => now() + Math.round((2 * Math.random() - 1) * TEN_YEARS_MS);
  globalThis.Date = new Proxy(Date, {
    construct: (real, args, target) => Reflect.construct(real, args.length > 0 ? args : [real.now()], target),
  });
}

if (plan.record) {
  const tell = (operation) => {
    const body = serialize(operation);
    const header = Buffer.alloc(4);
    header.writeUInt32LE(body.length);
    append(plan.record, Buffer.concat([header, body]));
  };
  await aroundFileOperations(plan.root, (operation, run) => {
    const done = run();
    // Operations of one thread follow one another, so the order of their ends is the order of what they did.
    if (!(done instanceof Promise)) {
      tell(operation);
      return done;
    }
    return done.then((result) => {
      tell(operation);
      return result;
    });
  });
}

const isDeviceProcess = process.argv[1]?.endsWith("process_worker.js");
if (isMainThread && !isDeviceProcess && (plan.point || plan.device || plan.engine)) {
  installPoints(plan, die);
  register("./points_hook.mjs", import.meta.url);
}
