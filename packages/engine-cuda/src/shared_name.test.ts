import { expect, test } from "vitest";
import { sharedName } from "./shared_name.ts";

test("a GPU is named by its place among all, whichever of them the process sees", () => {
  expect(sharedName(3, {})).toBe("GPU 3");
  const env = { CUDA_VISIBLE_DEVICES: "4, GPU-6a1c" };
  expect([0, 1].map((ordinal) => sharedName(ordinal, env))).toEqual(["GPU 4", "GPU GPU-6a1c"]);
  expect(sharedName(0, { CUDA_VISIBLE_DEVICES: "" })).toBe("GPU 0");
});
