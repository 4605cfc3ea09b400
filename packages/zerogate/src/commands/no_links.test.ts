/** `--no-links` in the commands that look at and change files: no link out of an adapter's or a model's folder is followed. */
import { cpSync, mkdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { openPlace, sixSteps } from "../../test/here.ts";

const place = openPlace();
const { at, run } = place;
const weights = "adapter_model.safetensors";

beforeAll(async () => {
  expect((await run(sixSteps(place, "run", { "--steps": "1" }))).code).toBe(0);
  mkdirSync(at("zoo"));
  cpSync(join(at("run"), "adapter"), at("zoo/linked"), { recursive: true });
  renameSync(at(join("zoo/linked", weights)), at("elsewhere.safetensors"));
  symlinkSync(at("elsewhere.safetensors"), at(join("zoo/linked", weights)));
  cpSync(place.base, at("linked base"), { recursive: true });
  renameSync(at("linked base/model.safetensors"), at("weights.safetensors"));
  symlinkSync(at("weights.safetensors"), at("linked base/model.safetensors"));
});

const whole = () => join(at("run"), "adapter");
const linked = () => at("zoo/linked");

test.each<[string, string, () => string[]]>([
  ["inspect", weights, () => ["inspect", linked()]],
  ["inspect of a base", "model.safetensors", () => ["inspect", at("linked base")]],
  ["convert", weights, () => ["convert", linked(), at("out-1"), "--to", "zerogate"]],
  [
    "convert --model",
    "model.safetensors",
    () => ["convert", whole(), at("out-2"), "--to", "zerogate", "--model", at("linked base")],
  ],
  ["adapters show", weights, () => ["adapters", "show", linked()]],
  ["adapters show --model", "model.safetensors", () => ["adapters", "show", whole(), "--model", at("linked base")]],
  ["adapters diff", weights, () => ["adapters", "diff", whole(), linked()]],
  ["adapters average", weights, () => ["adapters", "average", whole(), linked(), "--out", at("out-3")]],
])("%s refuses a link that leads out by its name, and follows it otherwise [T-C2]", async (_, name, line) => {
  const refused = await run([...line(), "--no-links"]);
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toContain(`${name} is a link to `);
  expect((await run(line())).code).toBe(0);
});

test("adapters list names it in its row and lists the others [T-C2]", async () => {
  cpSync(whole(), at("zoo/whole"), { recursive: true });
  const { code, json } = await run(["adapters", "list", at("zoo"), "--json", "--no-links"]);
  expect(code).toBe(0);
  expect(json).toMatchObject([
    { path: linked(), problem: expect.stringContaining(`${weights} is a link to `) },
    { path: at("zoo/whole"), adapterLayers: 1 },
  ]);
});
