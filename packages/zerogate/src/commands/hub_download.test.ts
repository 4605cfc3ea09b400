import { expect, test } from "vitest";
import { downloadPhase } from "./hub_download.ts";

test("progress has the rate of what came now, and the time that is left by it [M-hub-download]", () => {
  const said: (string | undefined)[] = [];
  let now = 1000;
  const report = downloadPhase(
    "downloading a/b",
    ({ name, counts }) => said.push(`${name}: ${counts}`),
    () => now,
  );
  report(2e9, 4e9); // from an earlier attempt
  now += 2000;
  report(2.1e9, 4e9);
  report(2e9, 4e9); // begun anew
  now += 38_000;
  report(4e9, 4e9);
  expect(said).toEqual([
    "downloading a/b: 2.0 GB of 4.0 GB",
    "downloading a/b: 2.1 GB of 4.0 GB, 50.0 MB/s, 38 s left",
    "downloading a/b: 2.0 GB of 4.0 GB",
    "downloading a/b: 4.0 GB of 4.0 GB",
  ]);
});
