/** A slow or busy machine fails no test: time limits are there for hangs alone. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import config from "../vitest.config.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const LEAST_MS = 600_000;
/** What is smaller is no limit of a test: requests to the server name theirs in seconds. */
const SMALLEST_MS = 100;

test("a test and a hook may take ten minutes and more [T-D15]", () => {
  expect(config.test?.testTimeout).toBeGreaterThanOrEqual(LEAST_MS);
  expect(config.test?.hookTimeout).toBeGreaterThanOrEqual(LEAST_MS);
});

test("no test sets itself a shorter limit, and none of a process that it waits for [T-D15]", () => {
  const own = readdirSync(join(root, "packages")).flatMap((name) => [`packages/${name}/src`, `packages/${name}/test`]);
  const sources = [...own, "tests"]
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((name) => (folder.endsWith("/src") ? name.endsWith(".test.ts") : name.endsWith(".ts")))
        .map((name) => join(folder, name)),
    );
  expect(sources.length).toBeGreaterThan(100);
  const short = sources.flatMap((file) => {
    const text = readFileSync(join(root, file), "utf8");
    const limits = text.matchAll(/\b(?:timeout|timeoutMs)(?::| =) ([\d_]+)|^ *\}, ([\d_]{4,})\);$/gm);
    return Array.from(limits, ([, named, last]) => Number((named ?? last)?.replaceAll("_", "")))
      .filter((limit) => limit >= SMALLEST_MS && limit < LEAST_MS)
      .map((limit) => `${file}: ${limit}`);
  });
  expect(short).toEqual([]);
});
