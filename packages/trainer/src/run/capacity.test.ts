/** What is far beyond a machine is refused before any of it is allocated, and a pipe where a file is needed is named. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openPlace, sixSteps } from "../../../zerogate/test/here.ts";
import { checkAdapterSize, workersProblem } from "./capacity.ts";

const place = openPlace();
const GiB = 2 ** 30;

test("workers: sixty-four anywhere, more by cores, none beyond the memory [T-B11]", () => {
  const small = { cores: 2, memoryBytes: 8 * GiB };
  expect(workersProblem(64, small)).toBeUndefined();
  expect(workersProblem(65, small)).toBe(
    "workers is 65, this machine has 2 cores and 8.6 GB of memory: use at most 64, best is one a core (--workers 2)",
  );
  expect(workersProblem(1024, { cores: 128, memoryBytes: 512 * GiB })).toBeUndefined();
  expect(workersProblem(1025, { cores: 128, memoryBytes: 512 * GiB })).toMatch("use at most 1024");
  expect(workersProblem(33, { cores: 128, memoryBytes: GiB / 2 })).toMatch("use at most 32");
  expect(workersProblem(1, { cores: 1, memoryBytes: 1 })).toBeUndefined();
});

test("adapters: as long as the context, and what training them takes must fit the memory [T-B11]", () => {
  const model = { hiddenSize: 4096, heads: 32, contextLength: 4096 };
  const machine = { cores: 8, memoryBytes: 64 * GiB };
  const check = (adapterLen: number, adapterLayers: number, workers: number) => () =>
    checkAdapterSize({ adapterLen, adapterLayers }, model, workers, machine);
  expect(check(10, 30, 8)).not.toThrow();
  expect(check(4096, 30, 1)).not.toThrow();
  expect(check(4097, 30, 1)).toThrow("adapterLen is 4097, the model's context is 4096 tokens: use at most that");
  expect(check(4096, 30, 8)).toThrow(
    /adapterLen is 4096 in 30 layers, training it with 8 workers takes 92.6 GB besides the base, this machine has 68.7 GB/,
  );
});

test.each([
  ["--workers", "100000", "--workers is 100000, expected a whole number of at least 1 and at most 4096"],
  ["--workers", "4096", /workers is 4096, this machine has \d+ cores and .* of memory: use at most \d+/],
  ["--adapter-len", "1000000", "--adapter-len is 1000000, expected a whole number of at least 1 and at most 65536"],
  ["--adapter-len", "60000", "adapterLen is 60000, the model's context is 192 tokens: use at most that"],
])("train %s %s is refused and no run begins [T-B11]", async (flag, value, says) => {
  const refused = await place.run(sixSteps(place, "refused", { [flag]: value }));
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(says);
  expect(existsSync(place.at("refused"))).toBe(false);
});

test.each([
  [["eval", "--workers", "100000"], '--workers is "100000", expected a whole number of at least 1 and at most 4096'],
  [["eval", "--workers", "4096"], /workers is 4096, this machine has \d+ cores/],
])("%s is refused [T-B11]", async (words, says) => {
  const refused = await place.run([...words, "--model", place.base, "--data", place.at("held.json")]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(says);
});

describe.skipIf(process.platform === "win32")("a pipe that nobody writes to", () => {
  const pipe = (name: string): string => {
    execFileSync("mkfifo", [place.at(name)]);
    return place.at(name);
  };
  const named = "it is a pipe, needed is a regular file: save what comes out of it to a file first";

  test.each(["--data", "--validation-data", "--template", "--config"])(
    "as %s is refused by name [T-B11]",
    async (flag) => {
      const path = pipe(`pipe${flag}`);
      const refused = await place.run(sixSteps(place, "piped", { [flag]: path }));
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain(path);
      expect(refused.stderr).toContain(named);
      expect(existsSync(place.at("piped"))).toBe(false);
    },
  );

  test("as --prompts and for inspect is refused by name [T-B11]", async () => {
    for (const name of ["asked.txt", "asked.json"]) {
      const path = pipe(name);
      const generate = ["generate", "--model", place.base, "--prompts", path];
      for (const words of [generate, ["inspect", path]]) {
        const refused = await place.run(words);
        expect(refused).toMatchObject({ code: 2, stdout: "" });
        expect(refused.stderr).toContain(named);
      }
    }
  });
});
