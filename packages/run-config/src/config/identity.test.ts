import { expect, test } from "vitest";
import { configHash, hasChanges, safeChanges, undoChanges, unsafeChanges } from "./identity.ts";
import { resolveConfig } from "./resolve.ts";

const config = (flags: Readonly<Record<string, unknown>> = {}) =>
  resolveConfig({ flags: { model: "m", data: ["d"], out: "o", lr: "0.02", seed: "7", ...flags } });
const change = (field: string, was: string, is: string) => ({ field, was, is });

test("keys that decide bits are separated from those that do not", () => {
  const next = config({ lr: "0.03", workers: "3", keepCheckpoints: "9" });
  expect(unsafeChanges(config(), next)).toEqual(["lr"]);
  expect(safeChanges(config(), next).toSorted()).toEqual(["keepCheckpoints", "workers"]);
  expect(unsafeChanges(config(), config())).toEqual([]);
  expect(safeChanges(config(), config())).toEqual([]);
  expect(configHash(config({ workers: "3" }))).toBe(configHash(config()));
  expect(configHash(next)).not.toBe(configHash(config()));
});

test("a template file may move, another template is another one", () => {
  const [here, there] = [config({ template: "a/t.json" }), config({ template: "b/t.json" })];
  expect(unsafeChanges(here, there)).toEqual([]);
  expect(unsafeChanges(here, config())).toEqual(["template"]);
  expect(unsafeChanges(config(), config({ template: "plain" }))).toEqual(["template"]);
});

test("changes are undone from the last to the first, if the config has what they made", () => {
  const changes = [change("lr", "0.005", "0.01"), change("engine", "cpu", "wasm"), change("lr", "0.01", "0.02")];
  expect(undoChanges(config(), changes)).toEqual({ ...config(), lr: 0.005 });
  expect(undoChanges(config(), changes.slice(0, 1))).toEqual(config());
  expect(undoChanges(config(), [change("epochs", "not set", JSON.stringify(config().epochs))]).epochs).toBeUndefined();
  expect(undoChanges(config(), [])).toEqual(config());
});

test("a config has changes if each key is what the last of them made of it", () => {
  const changes = [change("lr", "0.02", "0.03"), change("lr", "0.03", "0.02"), change("node", "v20", "v21")];
  expect(hasChanges(config(), changes)).toBe(true);
  expect(hasChanges(config(), changes.slice(0, 1))).toBe(false);
  expect(hasChanges(config(), [])).toBe(true);
  const moved = config({ template: "b/t.json" });
  expect(hasChanges(moved, [change("template", '"alpaca"', '"a/t.json"')])).toBe(true);
  expect(hasChanges(moved, [change("template", '"alpaca"', '"plain"')])).toBe(false);
});
