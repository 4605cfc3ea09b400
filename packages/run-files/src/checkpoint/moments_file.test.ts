import { parseSafetensors, serializeSafetensors, type Tensor } from "@zerogate/core/formats";
import { createAdamWState } from "@zerogate/core/training";
import { expect, test } from "vitest";
import { tableOfTwoGroups } from "../../test/two_groups.ts";
import { momentsDigest } from "../receipt/receipt.ts";
import { decodeMoments, encodeMoments } from "./moments_file.ts";

const moments = { m: Float32Array.of(1, -2, 0.5), v: Float32Array.of(4, 5, 6), t: [12] };
/** Three numbers in one group. */
const table = tableOfTwoGroups()
  .slice(-1)
  .map((part) => ({ ...part, group: 0, offset: 0 }));
const f32 = (values: Float32Array, shape = [values.length]): Tensor => ({
  dtype: "F32",
  shape,
  bytes: new Uint8Array(values.buffer),
});
const file = (tensors: Record<string, Tensor>, steps: string | undefined = "12") =>
  serializeSafetensors(new Map(Object.entries(tensors)), steps === undefined ? {} : { "zerogate.adamw_steps": steps });
const good = { m: f32(moments.m), v: f32(moments.v) };

test("moments come back bit for bit, wherever their bytes lie, also of a part of a larger array", () => {
  const bytes = encodeMoments(moments);
  expect(decodeMoments(bytes, table, "x")).toEqual(moments);
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  expect(decodeMoments(shifted.subarray(1), table, "x")).toEqual(moments);
  const large = Float32Array.of(9, 1, -2, 0.5, 9);
  expect(encodeMoments({ ...moments, m: large.subarray(1, 4) })).toEqual(bytes);
  expect(parseSafetensors(bytes, "x").metadata.get("zerogate.adamw_steps")).toBe("12");
  expect(decodeMoments(file(good, "0"), table, "x").t).toEqual([0]);
});

test.each<[what: string, tensors: Record<string, Tensor>, steps: string | undefined, problem: string]>([
  ["one is missing", { m: good.m }, "12", "v is missing, expected F32 [3]"],
  ["one is of another length", { ...good, v: f32(Float32Array.of(1, 2)) }, "12", "v is F32 [2], expected F32 [3]"],
  ["one has two dimensions", { ...good, m: f32(moments.m, [3, 1]) }, "12", "m is F32 [3, 1], expected F32 [3]"],
  ["one is of another type", { ...good, m: { ...good.m, dtype: "I32" } }, "12", "m is I32 [3], expected F32 [3]"],
  ["the count is no whole number", good, "1.5", "zerogate.adamw_steps is 1.5, expected a whole number"],
  ["the count is negative", good, "-1", "zerogate.adamw_steps is -1, expected a whole number"],
  ["the count is missing", good, undefined, "zerogate.adamw_steps is undefined, expected a whole number"],
])("if %s the file is refused by name", (_, tensors, steps, problem) => {
  const bytes = steps === undefined ? serializeSafetensors(new Map(Object.entries(tensors)), {}) : file(tensors, steps);
  expect(() => decodeMoments(bytes, table, "RUN/optimizer.safetensors")).toThrow(
    `Cannot read the optimizer state RUN/optimizer.safetensors: ${problem}`,
  );
});

test("all problems are reported at once", () => {
  expect(() => decodeMoments(file({}, "x"), table, "p")).toThrow(
    /m is missing.*\n.*v is missing.*\n.*adamw_steps is x/,
  );
});

test("of several groups each has its count, and counts of other groups than the table has are refused", () => {
  const groups = tableOfTwoGroups();
  const both = { ...createAdamWState(7), t: [5, 3] };
  expect(decodeMoments(encodeMoments(both), groups, "x")).toEqual(both);
  expect(() => decodeMoments(encodeMoments({ ...both, t: [5] }), groups, "x")).toThrow(
    "zerogate.adamw_steps is 5, expected 2 whole numbers",
  );
  expect(() => decodeMoments(file(good, "5,3"), table, "x")).toThrow(
    "zerogate.adamw_steps is 5,3, expected a whole number",
  );
});

test("the digest of moments counts every group, and has the bytes of 0.1.0 if there is one", () => {
  const digests = [[5], [5, 3], [3, 5], [5, 0]].map((t) => momentsDigest({ ...createAdamWState(7), t }));
  expect(new Set(digests).size).toBe(4);
  // SHA-256 of eight zero bytes: no moments, no update.
  expect(momentsDigest(createAdamWState(0))).toBe("af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc");
});

test("parts that stay as they are have no moments; those that earlier versions wrote for them are read too, both alike", () => {
  const groups = tableOfTwoGroups();
  const whole = { ...createAdamWState(7), t: [5, 3] };
  const trained = groups.slice(0, -1).map((part) => ({ ...part, group: 0 }));
  const length = trained.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const own = { ...createAdamWState(length), t: [5] };
  expect(decodeMoments(encodeMoments(own), trained, "x", groups)).toEqual(own);
  const older = { ...whole, t: [5] };
  expect(decodeMoments(encodeMoments(older), trained, "x", groups)).toEqual(older);
  expect(() => decodeMoments(encodeMoments(older), trained, "x")).toThrow(`m is F32 [7], expected F32 [${length}]`);
  const mixed = encodeMoments({ m: older.m, v: own.v, t: [5] });
  expect(() => decodeMoments(mixed, trained, "x", groups)).toThrow(`m has 7 numbers, v ${length}`);
});
