import { expect, test } from "vitest";
import { chooseAdapter, describeChoice, lastAdapter } from "./adapter_choice.ts";

const state = { step: 60, best: { step: 40, loss: 0.41234 } };

test("the best is delivered if it is wanted and there was a validation, else the last [T-D1]", () => {
  const best = { from: "best", step: 40, loss: 0.41234, steps: 60 };
  const last = { from: "last", step: 60, steps: 60 };
  expect(chooseAdapter({ adapterFrom: "best" }, state)).toEqual(best);
  expect(chooseAdapter({ adapterFrom: "best" }, { ...state, best: undefined })).toEqual(last);
  expect(chooseAdapter({ adapterFrom: "last" }, state)).toEqual(last);
  expect(lastAdapter(60)).toEqual(last);
  expect(describeChoice({ ...best, from: "best" })).toBe("step 40 of 60, with the lowest held-out loss, 0.4123");
  expect(describeChoice(lastAdapter(60))).toBe("step 60 of 60, the last");
});
