import { expect, test } from "vitest";
import {
  DamagedError,
  DeadlyCellError,
  DeviceDiedError,
  EngineLostError,
  InputError,
  isZerogateError,
  RankLateError,
  StepRefusedError,
} from "./errors.ts";

test("errors are known by their names if their classes are lost", () => {
  expect(new EngineLostError("the GPU is gone")).toMatchObject({ name: "EngineLostError", message: "the GPU is gone" });
  expect(new InputError("Cannot start", "no").name).toBe("InputError");
});

test("one problem stands in the line, several one a line", () => {
  const one = new InputError("Cannot load the model", "config.json is missing");
  expect(one.message).toBe("Cannot load the model: config.json is missing");
  expect([one.name, one.problems]).toEqual(["InputError", ["config.json is missing"]]);
  const two = new InputError("Cannot start", ["steps is 0", "batch is -1"]);
  expect(two.message).toBe("Cannot start:\n  - steps is 0\n  - batch is -1");
  expect(two.problems).toHaveLength(2);
});

const died = new DeviceDiedError(2, "linear in step 4", new Error("killed"));
test.each([
  [new InputError("Cannot start", "no"), "input"],
  [new DamagedError("nothing whole is left"), "damaged"],
  [new EngineLostError("the GPU is gone"), "engine-lost"],
  [died, "device-died"],
  [new DeadlyCellError("step 4", 1, [7], died), "deadly-cell"],
  [new StepRefusedError(4, []), "step-refused"],
  [new RankLateError("rank 2 is late"), "rank-late"],
] as const)("the guard knows %s by its code %s, and by no other", (error, code) => {
  expect(error.name).toBe(error.constructor.name);
  expect(isZerogateError(error)).toBe(true);
  expect(isZerogateError(error, code)).toBe(true);
  expect(isZerogateError(error, code === "input" ? "damaged" : "input")).toBe(false);
});

test("the guard passes over everything else: other errors, codes of the system, what is no error", () => {
  const system = Object.assign(new Error("gone"), { code: "ENOENT" });
  for (const other of [new Error("plain"), system, { code: "input" }, undefined, "input"]) {
    expect(isZerogateError(other)).toBe(false);
    expect(isZerogateError(other, "input")).toBe(false);
  }
});
