/** Opening a TensorFlow.js backend in this thread. */
import { openCpu } from "./backends/cpu.ts";
import { openNode } from "./backends/node.ts";
import { openWasm } from "./backends/wasm.ts";
import { openWebgpu } from "./backends/webgpu.ts";
import type { TfjsBackend } from "./names.ts";
import type { Backend } from "./tf.ts";

const opened = new Map<TfjsBackend, Promise<Backend>>();

/**
 * The backend, which all engines of a thread share.
 * @throws InputError if packages are missing or do not load, or the machine has no such device.
 */
export function openBackend(backend: TfjsBackend): Promise<Backend> {
  const known = opened.get(backend);
  if (known) return known;
  const opening = open(backend);
  opened.set(backend, opening);
  opening.catch(() => opened.delete(backend)); // what is missing now may be installed later
  return opening;
}

async function open(backend: TfjsBackend): Promise<Backend> {
  switch (backend) {
    case "cpu":
      return openCpu();
    case "wasm":
      return openWasm();
    case "webgpu":
      return openWebgpu();
    case "node":
    case "node-gpu":
      return openNode(backend);
  }
}
