/** `state.msgpack`: what is accepted is the same again once written (msgpackr writes -0 as 0). */
import { deepEqual, ok } from "node:assert";
import { decodeRunState, encodeRunState } from "../../../packages/run-files/dist/checkpoint/run_state.js";

const hash = "ab".repeat(32);

export const corpus = () => [
  encodeRunState({
    step: 120,
    epoch: 1.5,
    seed: 7,
    engine: "cpu/avx2/f32",
    hashes: { base: hash, data: hash, tokenizer: hash, plan: hash },
    config: { lr: 0.009, data: ["a.json"], model: "m" },
    versions: { zerogate: "0.1.0", node: "20.20.0" },
    best: { step: 100, loss: 1.25 },
    evaluationsWithoutGain: 1,
    voided: [{ step: 17, reason: "a loss that is not finite" }],
    receipt: hash,
  }),
];

export function check(bytes) {
  const state = decodeRunState(bytes, "x");
  ok(Number.isSafeInteger(state.step) && state.step >= 0);
  deepEqual(decodeRunState(encodeRunState(state), "y"), state);
}
