import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { EngineDescription, EngineTraits } from "@zerogate/core/engine";
import { expect, test } from "vitest";
import { firstEngine } from "./registry.ts";
import { rows } from "./rows.ts";

function describing(names: readonly string[], traits: (name: string) => Partial<EngineTraits>) {
  const some = { computes: ["f32"], storages: ["as-is"], weightDtypes: ["f32"] } as const;
  const description: EngineDescription = {
    names,
    devices: () => [],
    traits: (name) => ({ ...some, ...traits(name) }),
    setup: () => ({}),
  };
  return { description };
}

test("an engine behind the one that is taken is not asked: it may load the libraries of a GPU", () => {
  const asked: string[] = [];
  const engine = (name: string, packs: boolean) =>
    describing([name], () => {
      asked.push(name);
      return { packs };
    });
  const all = [engine("first", false), engine("second", true), engine("third", true)];
  expect(firstEngine(({ packs }) => packs === true, all)).toBe("second");
  expect(asked).toEqual(["first", "second"]);
});

test("each name of a description is asked by itself; none that fits is undefined", () => {
  const both = describing(["a:slow", "a:fast"], (name) => ({ packs: name === "a:fast" }));
  expect(firstEngine(({ packs }) => packs === true, [both])).toBe("a:fast");
  expect(firstEngine(({ isComposed }) => isComposed === true, [both])).toBeUndefined();
});

test("the names of a row are those that its engine has", async () => {
  for (const { names, load } of rows) expect((await load()).description.names).toEqual(names);
});

test("workers get built files, also from tests of sources", async () => {
  for (const { load } of rows) {
    const module = (await load()).module();
    expect(module).toMatch(/^file:.*\/dist\/[a-z_]+\.m?js$/);
    expect(existsSync(fileURLToPath(module))).toBe(true);
  }
});
