/** tfjs-node and tfjs-node-gpu: TensorFlow's C library. */
import util from "node:util";
import { InputError } from "@zerogate/core";
import { importTensorflow } from "../packages.ts";
import { plainProducts } from "../products.ts";
import type { Backend } from "../tf.ts";
import { start } from "./start.ts";

interface NodeBackend {
  readonly binding: { readonly TF_Version: string };
  readonly isUsingGpuDevice: boolean;
  readonly isGPUPackage: boolean;
}

export async function openNode(backend: "node" | "node-gpu"): Promise<Backend> {
  restoreOldUtil();
  const tf = await importTensorflow(backend);
  const { binding, isUsingGpuDevice, isGPUPackage } = (await start(tf, "tensorflow", backend)) as NodeBackend;
  if (isGPUPackage !== (backend === "node-gpu")) {
    const other = isGPUPackage ? "node-gpu" : "node";
    throw new InputError(
      `Cannot use the engine tfjs:${backend}`,
      `tfjs:${other} is loaded, a thread can have one of them`,
    );
  }
  if (isGPUPackage && !isUsingGpuDevice) {
    const { CUDA_VISIBLE_DEVICES: visible } = process.env;
    const seen = `TensorFlow sees no GPU${visible === undefined ? "" : ` where CUDA_VISIBLE_DEVICES is "${visible}"`}`;
    const needed = "a card for each worker that CUDA 11.2 supports, its driver, and cuDNN 8.1 are needed";
    throw new InputError("Cannot use the engine tfjs:node-gpu", `${seen}: ${needed}, or take tfjs:node`);
  }
  const device = isUsingGpuDevice ? "gpu" : "cpu";
  const nothing = () => {};
  return {
    tf,
    id: "tensorflow",
    version: `${tf.version_core}/tensorflow-${binding.TF_Version}-${device}`,
    products: plainProducts(tf),
    ensure: nothing,
    endArena: nothing,
    checkDevice: nothing,
  };
}

/** 4.22.0, the last release, calls two functions of `node:util` that Node 23 took away. */
function restoreOldUtil(): void {
  const old = util as { isNullOrUndefined?: (value: unknown) => boolean; isArray?: (value: unknown) => boolean };
  old.isNullOrUndefined ??= (value) => value === null || value === undefined;
  old.isArray ??= Array.isArray;
}
