import { expect, test } from "vitest";
import { effectiveGate, gateGradient } from "./gate.ts";

const slope = (gate: number) => 1 - Math.tanh(gate) ** 2;

test("heads share a scalar gate and have their own otherwise; tanh squashes", () => {
  const one = Float32Array.of(0.5);
  const three = Float32Array.of(0.5, -2, 0);
  expect(effectiveGate(one, "none", 3)).toEqual(Float32Array.of(0.5, 0.5, 0.5));
  expect(effectiveGate(three, "none", 3)).toEqual(three);
  expect(effectiveGate(one, "tanh", 3)).toEqual(new Float32Array(3).fill(Math.tanh(0.5)));
  expect(effectiveGate(three, "tanh", 3)).toEqual(three.map(Math.tanh));
});

test("the gradient of a shared gate is the sum over heads, that under tanh is multiplied by 1 − tanh²", () => {
  const dgate_H = Float32Array.of(1, 10, -4);
  expect(gateGradient(Float32Array.of(0.5), "none", dgate_H)).toEqual(Float32Array.of(7));
  expect(gateGradient(Float32Array.of(1, 2, 3), "none", dgate_H)).toEqual(dgate_H);
  expect(gateGradient(Float32Array.of(0.5), "tanh", dgate_H)).toEqual(Float32Array.of(7 * slope(0.5)));
  expect(gateGradient(Float32Array.of(0, 2, -1), "tanh", dgate_H)).toEqual(
    Float32Array.of(1, 10 * slope(2), -4 * slope(-1)),
  );
});
