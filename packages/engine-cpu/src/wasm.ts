/** `@zerogate/engine-cpu/wasm`: the wasm engine as an engine module, which is what workers import. */
export { createWasmEngine as createEngine } from "./wasm_engine.ts";
