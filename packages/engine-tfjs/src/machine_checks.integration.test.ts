/** A TensorFlow.js that ends its process or does not load is named by doctor. One that hangs: machine_checks.campaign.test.ts. */
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { find, folder, install } from "../test/false_packages.ts";
import { tfjsChecks } from "./machine_checks.ts";

test("one that is installed without its binary, or ends its process, says so", async () => {
  install("tfjs-node", 'throw new Error("The specified module could not be found: tfjs_binding.node");');
  install("tfjs-node-gpu", 'process.stdout.write("no CUDA"); process.exit(5);');
  const checks = await tfjsChecks();
  expect(find(checks, "node")).toMatchObject({
    ok: true,
    found: expect.stringMatching(/^absent: \S+ does not load: The specified module could not be found/),
  });
  expect(find(checks, "node-gpu")).toMatchObject({ ok: false, found: "its process ended with code 5" });
});

test("one that is not installed starts no process", async () => {
  vi.stubEnv("ZEROGATE_TFJS", join(folder, "nowhere"));
  const begun = vi.spyOn(process, "execPath", "get").mockReturnValue(join(folder, "no-node"));
  const checks = await tfjsChecks();
  begun.mockRestore();
  expect(find(checks, "node-gpu")?.found).toMatch(/^absent: it needs @tensorflow\/tfjs-node-gpu: npm install /);
  expect(find(checks, "cpu")).toMatchObject({ ok: false, found: expect.stringMatching(/ENOENT/) });
});
