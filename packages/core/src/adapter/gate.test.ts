import { expect, test } from "vitest";
import { effectiveGate, gateGradient } from "./gate.ts";

const scalar = { heads: 3, gateLength: 1 } as const;
const slope = (gate: number) => 1 - Math.tanh(gate) ** 2;
const perHead = { heads: 3, gateLength: 3 } as const;

test("heads share a scalar gate and have their own otherwise; tanh squashes", () => {
  const one = Float32Array.of(0.5);
  const three = Float32Array.of(0.5, -2, 0);
  expect(effectiveGate({ ...scalar, gateActivation: "none" }, one)).toEqual(Float32Array.of(0.5, 0.5, 0.5));
  expect(effectiveGate({ ...perHead, gateActivation: "none" }, three)).toEqual(three);
  expect(effectiveGate({ ...scalar, gateActivation: "tanh" }, one)).toEqual(new Float32Array(3).fill(Math.tanh(0.5)));
  expect(effectiveGate({ ...perHead, gateActivation: "tanh" }, three)).toEqual(three.map(Math.tanh));
});

test("the gradient of a shared gate is the sum over heads, that under tanh is multiplied by 1 − tanh²", () => {
  const dgate_H = Float32Array.of(1, 10, -4);
  expect(gateGradient({ ...scalar, gateActivation: "none" }, Float32Array.of(0.5), dgate_H)).toEqual(
    Float32Array.of(7),
  );
  expect(gateGradient({ ...perHead, gateActivation: "none" }, Float32Array.of(1, 2, 3), dgate_H)).toEqual(dgate_H);
  expect(gateGradient({ ...scalar, gateActivation: "tanh" }, Float32Array.of(0.5), dgate_H)).toEqual(
    Float32Array.of(7 * slope(0.5)),
  );
  expect(gateGradient({ ...perHead, gateActivation: "tanh" }, Float32Array.of(0, 2, -1), dgate_H)).toEqual(
    Float32Array.of(1, 10 * slope(2), -4 * slope(-1)),
  );
});
