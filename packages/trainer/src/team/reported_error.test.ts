import { expect, test } from "vitest";
import { ReportedError } from "./reported_error.ts";

test("an error that people know keeps what it was, and a name that callers see", () => {
  const cause = new Error("the disk is full");
  expect(new ReportedError(cause)).toMatchObject({ name: "ReportedError", cause, message: "reported before" });
});
