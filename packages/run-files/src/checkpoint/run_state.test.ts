import { InputError } from "@zerogate/core";
import { assert, nat, property, uint8Array } from "fast-check";
import { Packr } from "msgpackr";
import { expect, test } from "vitest";
import { decodeRunState, encodeRunState, type RunState } from "./run_state.ts";

const state: RunState = {
  step: 12,
  epoch: 1.5,
  seed: 7,
  engine: "reference",
  hashes: { base: "b", data: "d", tokenizer: "t", plan: "p" },
  config: { seed: 7, data: ["x"] },
  versions: { zerogate: "0.1.0", node: "v20.20.0" },
  evaluationsWithoutGain: 0,
  voided: [{ step: 3, reason: "its loss is NaN" }],
  receipt: "f".repeat(64),
};
const packr = new Packr({ useRecords: false });
const good = { version: 2, ...state };

test("a state comes back as it was", () => {
  expect(decodeRunState(encodeRunState(state), "x")).toEqual(state);
  const withBest = { ...state, best: { step: 3, loss: 0.1 } };
  expect(decodeRunState(encodeRunState(withBest), "x")).toEqual(withBest);
});

test("a state of another version says what to do", () => {
  expect(() => decodeRunState(packr.pack({ ...good, version: 3 }), "state.msgpack")).toThrow(
    "Cannot read the run state state.msgpack: it has version 3, this zerogate reads version 2: update zerogate",
  );
  expect(() => decodeRunState(packr.pack({ ...good, version: 1 }), "x")).toThrow("start the run again");
  expect(() => decodeRunState(packr.pack({ ...good, hashes: { ...good.hashes, base: 7 } }), "x")).toThrow(
    "hashes.base: ",
  );
  expect(() => decodeRunState(packr.pack(7), "x")).toThrow("state: ");
});

test.each([
  ["no object", 3],
  ["a missing field", { ...good, seed: undefined }],
  ["an unknown field", { ...good, more: 1 }],
  ["a negative step", { ...good, step: -1 }],
  ["half a step", { ...good, step: 0.5 }],
  ["a loss that is no number", { ...good, best: { step: 1, loss: Number.NaN } }],
  ["a hash of another type", { ...good, hashes: { ...good.hashes, base: [] } }],
])("%s is refused", (_, value) => {
  expect(() => decodeRunState(packr.pack(value), "x")).toThrow(InputError);
});

function outcome(bytes: Uint8Array): string {
  try {
    decodeRunState(bytes, "x");
    return "state";
  } catch (error) {
    return error instanceof InputError ? "InputError" : String(error);
  }
}

test("any bytes are a state or an InputError, and an oversized file is not even decoded", () => {
  const bytes = encodeRunState(state);
  assert(
    property(uint8Array({ maxLength: 300 }), nat(bytes.length - 1), nat(255), (noise, at, value) => {
      const changed = Uint8Array.from(bytes);
      changed[at] = value;
      for (const candidate of [noise, changed, bytes.subarray(0, at)]) {
        expect(outcome(candidate)).toMatch(/^(state|InputError)$/);
      }
    }),
  );
  expect(() => decodeRunState(new Uint8Array((1 << 20) + 1), "x")).toThrow(
    "it has 1048577 bytes, expected at most 1048576",
  );
});

test("a set, which takes an extension of msgpack, and a config that nests thousands deep are refused", () => {
  const sets = new Packr({ useRecords: false, moreTypes: true });
  const withSet = sets.pack({ ...good, config: { data: new Set(["a.json"]) } });
  expect(() => decodeRunState(withSet, "x")).toThrow(InputError);
  const plain = packr.pack({ ...good, config: { deep: 7 } });
  const at = plain.indexOf("deep") + 4;
  const nested = (depth: number) =>
    Buffer.concat([plain.subarray(0, at), Buffer.alloc(depth, 0x91), plain.subarray(at)]);
  expect(decodeRunState(nested(10), "x").step).toBe(good.step);
  for (const depth of [3000, 5000, 20_000]) expect(() => decodeRunState(nested(depth), "x")).toThrow(InputError);
});

test("a set, which takes an extension of msgpack, and a config that nests thousands deep are refused", () => {
  const sets = new Packr({ useRecords: false, moreTypes: true });
  const withSet = sets.pack({ ...good, config: { data: new Set(["a.json"]) } });
  expect(() => decodeRunState(withSet, "x")).toThrow(InputError);
  const plain = packr.pack({ ...good, config: { deep: 7 } });
  const at = plain.indexOf("deep") + 4;
  const nested = (depth: number) =>
    Buffer.concat([plain.subarray(0, at), Buffer.alloc(depth, 0x91), plain.subarray(at)]);
  expect(decodeRunState(nested(10), "x").step).toBe(good.step);
  for (const depth of [3000, 5000, 20_000]) expect(() => decodeRunState(nested(depth), "x")).toThrow(InputError);
});
