/** The TensorFlow.js backends that the engine runs on, and the packages that each needs. */

export const tfjsBackends = ["node-gpu", "node", "wasm", "webgpu", "cpu"] as const;

/** `--engine tfjs:wasm` is the backend `wasm`. */
export type TfjsBackend = (typeof tfjsBackends)[number];

const VERSION = "4.22.0";
const core = "@tensorflow/tfjs-core";

/** In the order of import. */
export const packagesOf: Readonly<Record<TfjsBackend, readonly string[]>> = {
  "node-gpu": ["@tensorflow/tfjs-node-gpu"],
  node: ["@tensorflow/tfjs-node"],
  wasm: [core, "@tensorflow/tfjs-backend-wasm"],
  webgpu: ["webgpu", core, "@tensorflow/tfjs-backend-webgpu"],
  cpu: [core, "@tensorflow/tfjs-backend-cpu"],
};

/** What a backend needs and what to type if it is absent: versions that are known to work together. */
export function needs(backend: TfjsBackend): string {
  const names = packagesOf[backend];
  const versions = names.map((name) => `${name}@${name === "webgpu" ? "0.6.2" : VERSION}`);
  return `it needs ${names.join(", ")}: npm install ${versions.join(" ")}`;
}
