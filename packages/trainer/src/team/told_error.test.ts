import { expect, test } from "vitest";
import { ToldError } from "./told_error.ts";

test("an error that people know keeps what it was, and a name that callers see", () => {
  const cause = new Error("the disk is full");
  expect(new ToldError(cause)).toMatchObject({ name: "ToldError", cause, message: "told before" });
});
