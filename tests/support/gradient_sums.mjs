/**
 * Program: loads a base, computes the gradients of two cells and adds them exactly, with or without shared memory, as a browser
 * page would. Arguments: folder of the base, reference or wasm, own or shared. stdout: what a reader of the sums gets, as JSON.
 */
const [folder, engineName, memory] = process.argv.slice(2);
if (memory === "own") delete globalThis.SharedArrayBuffer;

const core = {
  ...(await import("../../packages/core/dist/index.js")),
  ...(await import("../../packages/core/dist/training.js")),
};
const { loadWeights, readModelConfig } = await import("../../packages/core/dist/node.js");
const { createEngine } =
  engineName === "wasm"
    ? await import("../../packages/engine-cpu/dist/wasm.js")
    : { createEngine: core.createReferenceEngine };

const allocate = memory === "own" ? undefined : (bytes) => new SharedArrayBuffer(bytes);
const engine = createEngine();
const config = await readModelConfig(folder);
const image = await loadWeights(folder, config, { weightDtypes: engine.weightDtypes, allocate });
const model = core.createModel(engine, config, image);
const shape = { promptLength: 3, adaptedLayers: 2, gateSharing: "per-head", gateActivation: "tanh" };
const layout = core.adapterLayout(shape, config);
const params = core.initParameters(layout.table, 1);
for (const { gate } of core.layerParts(layout)) core.partNumbers(gate, params).fill(0.3);

const tokens = {
  ids: Int32Array.from({ length: 18 }, (_, t) => 3 + ((7 * t) % 50)),
  target: new Uint8Array(18).fill(1),
  offsets: Float64Array.of(0, 8, 18),
  hash: "",
};
const slots = [0, 1].map(() => core.createSlot({ parameters: layout.length, maxCells: 2 }, allocate));
for (const [cell, slot] of slots.entries()) {
  const packed = core.packCell(tokens, [cell]);
  const { lossSum, gradient } = await core.cellGradient(model, { layout, params }, packed, 1 / 16);
  const bad = core.addCell(
    slot,
    { cell, gradient, lossSum, labelledTokens: packed.labels_R.length },
    engine.addFixedPoint,
  );
  if (bad) throw new Error(`cell ${cell} has ${bad.count} bad numbers`);
}
core.addSlot(slots[0], slots[1]);
const gradient = new Float32Array(layout.length);
core.readFixedPoint(core.gradientSum(slots[0]), gradient);
console.log(
  JSON.stringify({
    memory: [image.bytes.constructor.name, slots[0].sums.buffer.constructor.name],
    isGlobal: typeof SharedArrayBuffer !== "undefined",
    problems: core.checkTail(slots[0], 2, 16),
    totals: core.slotTotals(slots[0]),
    sums: [...slots[0].sums],
    moved: gradient.filter((g) => g !== 0).length,
  }),
);
