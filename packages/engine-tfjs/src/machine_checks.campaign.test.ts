/** A TensorFlow.js that crashes or hangs ends its own process only, and doctor says so: it waits for the clock. */
import { expect, test } from "vitest";
import { find, install } from "../test/false_packages.ts";
import { tfjsChecks } from "./machine_checks.ts";

test("one that crashes in native code and one that hangs are named, and the others are tried", async () => {
  install("tfjs-node", 'console.log("loading"); process.kill(process.pid, "SIGSEGV"); for (;;);');
  install("tfjs-node-gpu", "for (;;);");
  const checks = await tfjsChecks(5000);
  const advice = "install it anew, or remove it";
  expect(find(checks, "node")).toMatchObject({ ok: false, found: "its process was ended by SIGSEGV", advice });
  expect(find(checks, "node-gpu")).toMatchObject({ ok: false, found: "it did not answer within 5 s", advice });
  expect(find(checks, "cpu")).toMatchObject({ ok: true, found: expect.stringMatching(/^tfjs\/cpu\/4\S+ works$/) });
});
