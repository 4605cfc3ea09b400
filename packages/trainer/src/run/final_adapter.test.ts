import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adapterLayout, initParameters } from "@zerogate/core";
import { adapterFiles } from "@zerogate/core/node";
import { loadTemplate } from "@zerogate/data";
import { afterEach, beforeEach, expect, test } from "vitest";
import { slowDisk } from "../../../run-files/test/slow_disk.ts";
import { saveFinalAdapter } from "./final_adapter.ts";

const layout = adapterLayout(
  { promptLength: 2, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" },
  {
    modelType: "llama",
    outputBias: false,
    layers: 3,
    hiddenSize: 4,
    heads: 2,
  },
);
const adapter = {
  config: {
    peftType: "ADAPTION_PROMPT",
    targetModules: null,
    adapterLen: 2,
    adapterLayers: 2,
    taskType: "CAUSAL_LM",
    inferenceMode: false,
    baseModelNameOrPath: "base",
    revision: null,
    autoMapping: null,
  },
  layout,
  params: initParameters(layout.table, 1),
  promptFormat: { template: await loadTemplate("alpaca"), bos: "tokenizer" },
} as const;
const names = [...adapterFiles(adapter).keys()].toSorted();

let run: string;
let told: string[];
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "zerogate-final-"));
  told = [];
});
afterEach(() => rmSync(run, { recursive: true, force: true }));
const save = (of = adapter) => saveFinalAdapter(run, of, (sentence) => told.push(sentence));
const folder = () => join(run, "adapter");
const expectWhole = (of = adapter) => {
  for (const [name, bytes] of adapterFiles(of)) {
    expect(readFileSync(join(folder(), name)).equals(Buffer.from(bytes as Uint8Array)), name).toBe(true);
  }
  expect(readdirSync(folder()).toSorted()).toEqual(names);
};

test("the adapter appears whole, and is left alone if it is there already", async () => {
  expect(names).toContain("zerogate.json");
  expect(await save()).toBe(folder());
  expectWhole();
  expect(await save()).toBe(folder());
  expect(readdirSync(run)).toEqual(["adapter"]);
  expect(told).toEqual([]);
});

test("an adapter of 0.1.0, which lacks one file, gets it beside the others", async () => {
  await save();
  rmSync(join(folder(), "zerogate.json"));
  writeFileSync(join(folder(), "notes.txt"), "mine");
  expect(await save()).toBe(folder());
  expect(readdirSync(folder()).toSorted()).toEqual([...names, "notes.txt"].toSorted());
  expect(readdirSync(run)).toEqual(["adapter"]);
  expect(told).toEqual([]);
});

test.each(names)("another %s in its place is kept with all that lies beside it, and that is said", async (name) => {
  await save();
  writeFileSync(join(folder(), name), "mine");
  await save();
  expectWhole();
  const kept = join(run, "rewound", "1", "adapter");
  expect(readFileSync(join(kept, name), "utf8")).toBe("mine");
  expect(told).toEqual([`${folder()} was another one. It is kept as ${kept}`]);
  expect(readdirSync(run).toSorted()).toEqual(["adapter", "rewound"]);
});

test.each(["README.md", "adapter_model.safetensors"])("an adapter without its %s is another one", async (name) => {
  await save();
  rmSync(join(folder(), name));
  await save();
  expectWhole();
  expect(told).toHaveLength(1);
});

test("what the disk refuses is reported and leaves nothing half written", async () => {
  rmSync(run, { recursive: true });
  writeFileSync(run, "a file");
  await expect(save()).rejects.toThrow(/ENOTDIR|EEXIST/);
  rmSync(run);
  mkdirSync(folder(), { recursive: true });
  writeFileSync(join(folder(), "README.md"), "mine");
  writeFileSync(join(run, "rewound"), "in the way");
  await expect(save()).rejects.toThrow(/EEXIST|ENOTDIR/);
  expect(readdirSync(run).toSorted()).toEqual(["adapter", "rewound"]);
  expect(existsSync(join(folder(), "README.md"))).toBe(true);
});

test("all files and their names are on the disk before the adapter appears, and the old one is away before that", async () => {
  await save();
  writeFileSync(join(folder(), "README.md"), "mine");
  const { done, restore } = slowDisk();
  try {
    await save();
  } finally {
    restore();
  }
  const at = (start: RegExp) => done.findIndex((what) => start.test(what));
  const kept = join(run, "rewound", "1", "adapter");
  const appears = at(/^rename \S+\.tmp \S+adapter$/);
  expect(at(/^sync \S+\.adapter\.\S+\.tmp$/)).toBeGreaterThan(-1);
  for (const name of names) expect(done.findIndex((what) => what.endsWith(`.tmp/${name}`))).toBeGreaterThan(-1);
  expect(at(/^sync \S+\.adapter\.\S+\.tmp$/)).toBeLessThan(appears);
  expect(done.indexOf(`rename ${folder()} ${kept}`)).toBeLessThan(appears);
  expect(done.at(-1)).toBe(`sync ${run}`);
  expectWhole();
});
