import { InputError } from "@zerogate/core";
import { expect, test } from "vitest";
import { FIRST_RETRY_MS, isHopeless, nextRetryMs, patiently } from "./retry_disk.ts";

const quiet = { failed: () => {}, worked: () => {} };

test("pauses double from half a second to half a minute", () => {
  const pauses = [FIRST_RETRY_MS];
  for (let n = 0; n < 8; n++) pauses.push(nextRetryMs(pauses.at(-1) ?? 0));
  expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
});

test("work that succeeds later is tried until it does, and its trouble is reported", async () => {
  const said: string[] = [];
  let tries = 0;
  const work = async () => {
    tries++;
    if (tries === 1) throw new Error("ENOSPC: no space left on device");
    return tries;
  };
  const trouble = { failed: (why: string) => said.push(why), worked: () => said.push("worked") };
  expect(await patiently(work, 60_000, trouble)).toBe(2);
  expect(said).toEqual([expect.stringContaining("disk is full"), "worked"]);
});

test("no patience, or an error that waiting cannot mend, throws at once", async () => {
  let tries = 0;
  const fail = (message: string) => async () => {
    tries++;
    throw new Error(message);
  };
  await expect(patiently(fail("ENOSPC: full"), 0, quiet)).rejects.toThrow("ENOSPC");
  await expect(patiently(fail("ENOTDIR: not a directory"), 60_000, quiet)).rejects.toThrow("ENOTDIR");
  expect(tries).toBe(2);
});

test("waiting cannot mend what stands in the way by its kind, or a refusal of our own; it can mend all else", () => {
  const hopeless = ["ENOTDIR: x", "EISDIR: x", "EEXIST: x", "ENAMETOOLONG: x"].map((text) => new Error(text));
  expect([...hopeless, new InputError("Cannot write", "another process does")].filter((e) => !isHopeless(e))).toEqual(
    [],
  );
  const others = ["EIO: i/o error", "ENOSPC: x", "ENOENT: EXIST", "no code"].map((text) => new Error(text));
  expect([...others, "ENOTDIR", undefined].filter(isHopeless)).toEqual([]);
});
