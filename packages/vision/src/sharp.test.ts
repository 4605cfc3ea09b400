import { expect, test } from "vitest";
import { firstLine, loadSharp, sharpLoader } from "./sharp.ts";

test("without sharp the error says what to type, and with it later it works", async () => {
  const absent = Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
  const found = { default: await loadSharp() };
  const results = [
    Promise.reject(absent),
    Promise.reject(new Error("no libvips\nfor this machine")),
    Promise.resolve(found),
  ];
  for (const result of results) result.catch(() => {});
  const load = sharpLoader(() => results.shift() ?? Promise.reject(new Error("loaded once more")));
  await expect(load()).rejects.toThrow(
    "Cannot decode images: sharp is not installed, needed is sharp 0.33 or later: npm install sharp",
  );
  await expect(load()).rejects.toThrow(
    "Cannot decode images: sharp does not start here (no libvips), needed is sharp 0.33 or later: npm install sharp",
  );
  expect([await load(), await load()]).toEqual([found.default, found.default]);
});

test("of an error the first line is shown, cut if it is long", () => {
  expect(firstLine(new Error("\n one \ntwo"))).toBe("one ");
  expect(firstLine("x".repeat(300))).toHaveLength(200);
});
