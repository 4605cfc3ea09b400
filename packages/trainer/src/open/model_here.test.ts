/** A base that is loaded serves whoever opens it next. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { oneSequence } from "@zerogate/core";
import { afterAll, expect, test } from "vitest";
import { loadBaseHere, openBase } from "./base.ts";
import { modelHere, openModel } from "./model.ts";

const worldBase = fileURLToPath(new URL("../../world/base", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "zerogate-model-here-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("weights that are loaded are not read again, and answer as those of a base that is opened anew", async () => {
  const copy = join(folder, "base");
  cpSync(worldBase, copy, { recursive: true });
  const engine = { engine: "reference", compute: "f32", storage: "as-is", packing: "auto" } as const;
  const rules = { workers: 1, isolate: false, links: true, strictTensors: false, devices: undefined };
  const base = await openBase({ ...engine, ...rules, model: copy, tokenizer: "model" }, () => {});
  const weights = await loadBaseHere(base, () => {});
  rmSync(copy, { recursive: true });
  const model = await modelHere(base, [], () => {}, weights);
  const opened = await openModel({ ...engine, model: worldBase });
  const tokens = oneSequence([1, 40, 50, 60]);
  expect(await model.mixedLogits(tokens, [{}])).toEqual(await opened.model.mixedLogits(tokens, [{}]));
  await expect(modelHere(base, [], () => {})).rejects.toThrow(copy);
});
