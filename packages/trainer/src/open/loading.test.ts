import { expect, test } from "vitest";
import type { Phase } from "../run/phase.ts";
import { loadingPhase } from "./loading.ts";

test("a large base is reported in gigabytes with its rate, a small one not at all", () => {
  const phases: Phase[] = [];
  let ms = 5000;
  const report = loadingPhase(
    (phase) => phases.push(phase),
    () => ms,
  );
  report(4e6, 400e6);
  ms += 250;
  report(1e9, 2.2e9);
  expect(phases).toEqual([{ name: "loading the base", done: 1e9, total: 2.2e9, counts: "1.0 of 2.2 GB, 4.0 GB/s" }]);
});
