/** `zerogate convert` and `zerogate adapters`, as a user calls them. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type AdapterShape,
  type AdapterState,
  adapterLayout,
  adaptionPromptConfig,
  initParameters,
  layerParts,
  type ModelConfig,
  partNumbers,
} from "@zerogate/core";
import { adapterLayoutOn } from "@zerogate/core/formats";
import { readAdapter, readAdapterFile, readModelConfig, saveAdapter, writeAdapterFile } from "@zerogate/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base, heldOutFile, records } from "./support/world.ts";

const folder = testFolder();
const at = (...path: string[]) => join(folder, ...path);
const run = (...args: string[]) => zerogateHere(args, { cwd: folder });
let model: ModelConfig;

/** An adapter of the packaged base (6 layers) with these gates, one list a layer. */
function adapter(gateActivation: AdapterShape["gateActivation"], ...gates: number[][]): AdapterState {
  const gateSharing = gates[0]?.length === 1 ? "scalar" : "per-head";
  const layout = adapterLayout({ promptLength: 3, adaptedLayers: gates.length, gateSharing, gateActivation }, model);
  const params = initParameters(layout.table, 5);
  for (const [i, { gate }] of layerParts(layout).entries()) partNumbers(gate, params).set(gates[i] ?? []);
  return { layout, params };
}

async function save(name: string, { layout, params }: AdapterState, baseName = "tiny"): Promise<void> {
  const { promptLength: adapterLen, adaptedLayers: adapterLayers } = layout.shape;
  const fields = { adapterLen, adapterLayers, taskType: "CAUSAL_LM", baseModelNameOrPath: baseName } as const;
  await saveAdapter(at(name), { config: adaptionPromptConfig(fields), layout, params });
}

const heads = (...few: number[]) => Array.from({ length: model.heads }, (_, h) => few[h % few.length] ?? 0);

beforeAll(async () => {
  model = await readModelConfig(base);
  await save("plain", adapter("none", [0.5], [-0.25]));
  await save("open", adapter("none", [0.5], [1.5]));
  await save("heads", adapter("tanh", heads(0.1, 0.4), heads(0.7)));
  await writeAdapterFile(at("original.pth"), adapter("tanh", heads(0.1, 0.4), heads(0.7)), "original");
});

describe("an adapter file of another program", () => {
  const few = () => writeFileSync(at("few.json"), JSON.stringify(records("heldout.json", 2)));
  const short = ["--engine", "wasm", "--workers", "1"];

  test("is an adapter for eval and generate, with the numbers of its converted folder", async () => {
    few();
    expect(await run("convert", "original.pth", "as-folder", "--to", "zerogate")).toMatchObject({ code: 0 });
    const measure = (place: string) =>
      run("eval", "--model", base, "--data", "few.json", "--adapter", place, ...short, "--json");
    const [file, folderOf] = [await measure("original.pth"), await measure("as-folder")];
    expect(file, file.stderr).toMatchObject({ code: 0 });
    expect(file.stderr).toContain("original.pth does not say what its gates mean: their tanh is taken");
    expect(file.json[0]?.["loss"]).toBe(folderOf.json[0]?.["loss"]);
    const ask = ["generate", "--model", base, "--prompt", "a", "--max-new-tokens", "4", "--adapter"];
    const [one, two] = [await run(...ask, "original.pth=it", "--json"), await run(...ask, "as-folder=it", "--json")];
    expect(one, one.stderr).toMatchObject({ code: 0 });
    const untimed = ({ stdout }: { readonly stdout: string }) => stdout.replace(/"tokensPerSecond":[\d.]+/g, "");
    expect(untimed(one)).toBe(untimed(two));
  });

  test("is one to begin a run with", async () => {
    few();
    const args = ["train", "--model", base, "--data", "few.json", "--val-fraction", "0", "--steps", "1", ...short];
    const begun = await run(...args, "--init-adapter", "original.pth", "--report-answers", "0", "--out", "begun");
    expect(begun, begun.stderr).toMatchObject({ code: 0 });
    expect((await readAdapter(at("begun/adapter"))).layout.shape).toMatchObject({
      promptLength: 3,
      gateSharing: "per-head",
      gateActivation: "tanh",
    });
  });

  test("names no base, and is none for PEFT", async () => {
    const nameless = await run("generate", "--prompt", "a", "--adapter", "original.pth");
    expect(nameless).toMatchObject({ code: 2, stdout: "" });
    expect(nameless.stderr).toContain("original.pth does not name it: give --model");
    const peft = await run("verify", "--against", "peft", "--model", base, "--adapter", "original.pth");
    expect(peft).toMatchObject({ code: 2, stdout: "" });
    expect(peft.stderr).toMatch(/it is a file: .*convert/);
    const other = await run("generate", "--model", base, "--prompt", "a", "--adapter", join(base, "model.safetensors"));
    expect(other).toMatchObject({ code: 2, stdout: "" });
    expect(other.stderr).toContain("needed are adapter_query.weight (original) or transformer.h.");
  });
});

describe("convert", () => {
  test("PEFT to every other format and back gives the same adapter [F1]", async () => {
    for (const [to, name] of [
      ["original", "a.pth"],
      ["litgpt", "lit_model.pth.adapter"],
      ["lit-llama", "b.pth"],
      ["lit-llama", "b.safetensors"],
      ["zerogate", "c"],
    ] as const) {
      const there = await run("convert", "plain", name, "--to", to, "--model", base, "--json");
      expect(there).toMatchObject({ code: 0 });
      expect(there.json).toEqual([expect.objectContaining({ from: "peft", to, adapterLayers: 2, adapterLen: 3 })]);
      expect(there.json[0]?.["maxRelativeError"]).toBeLessThan(1e-6);
      const back = await run("convert", name, `${name}.back`, "--to", "peft");
      expect(back).toMatchObject({ code: 0 });
      expect(back.stdout).toMatch(/2 layers of 3 prompts, gates (per-head( tanh)?|scalar) -> scalar/);
      const [found, expected] = [await readAdapter(at(`${name}.back`)), await readAdapter(at("plain"))];
      expect(found.layout.table).toEqual(expected.layout.table);
      for (const [i, value] of expected.params.entries()) expect(found.params[i]).toBeCloseTo(value, 6);
    }
  });

  test("gates that differ between heads are refused; a reduction is allowed by name and its error reported per layer [F1]", async () => {
    const refused = await run("convert", "original.pth", "lossy", "--to", "peft");
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(
      /layer 4 has gates from 0\.09967 to 0\.3799.*--gate-reduce mean, median, rms or lstsq.*--to zerogate/,
    );
    expect(refused.stderr).not.toContain("layer 5"); // whose gates are all the same
    expect(existsSync(at("lossy"))).toBe(false);
    const allowed = await run("convert", "original.pth", "lossy", "--to", "peft", "--gate-reduce", "mean");
    expect(allowed).toMatchObject({ code: 0 });
    expect(allowed.stdout).toMatch(/^4 +0\.0997 … 0\.380 +0\.240 +0\.505$/m);
    expect(allowed.stdout).toMatch(/^5 +0\.604 +0\.604 +exact$/m);
    expect(allowed.stderr).toContain("gates of original.pth are taken as tanh: --assume-gate");
    const kept = await run("convert", "original.pth", "kept", "--to", "zerogate");
    expect(kept).toMatchObject({ code: 0 });
    expect((await run("adapters", "diff", "kept", "heads", "--json")).json[0]).toMatchObject({ layout: [] });
  });

  test("lstsq finds the gate whose layer adds most nearly the same on texts, and reports the error of its output", async () => {
    const convert = ["convert", "original.pth", "fitted", "--to", "peft", "--gate-reduce", "lstsq"];
    expect((await run(...convert)).stderr).toContain("give --data");
    const args = [...convert, "--model", base, "--data", heldOutFile, "--json"];
    const fitted = await run(...args);
    expect(fitted).toMatchObject({ code: 0 });
    const layers = fitted.json[0]?.["layers"] as { after: number[]; relativeError: number; outputError: number }[];
    const [differ, same] = layers;
    expect(differ?.after[0]).toBeGreaterThan(Math.tanh(0.1));
    expect(differ?.after[0]).toBeLessThan(Math.tanh(0.4));
    expect(differ?.outputError).toBeGreaterThan(0.05);
    expect(same).toMatchObject({ relativeError: 0, outputError: 0 });
    const mean = (await run("convert", "original.pth", "meant", "--to", "peft", "--gate-reduce", "mean", "--json"))
      .json[0];
    expect(differ?.after[0]).not.toBe((mean?.["layers"] as typeof layers | undefined)?.[0]?.after[0]);
    expect((await readAdapter(at("fitted"))).layout.shape).toMatchObject({
      gateSharing: "scalar",
      gateActivation: "none",
    });
    const other = await run("convert", "plain", "z", "--to", "zerogate", "--data", heldOutFile);
    expect(other.stderr).toContain("--data is for --gate-reduce lstsq");
  });

  test("gates that tanh cannot reach are refused, clamped where allowed, or written raw [F1]", async () => {
    const args = ["convert", "open", "clamped.pth", "--to", "original", "--model", base];
    const refused = await run(...args);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(/layer 5 has the gate 1\.50000.*--clamp-gates.*--assume-gate raw/);
    const clamped = await run(...args, "--clamp-gates");
    expect(clamped.stdout).toMatch(/^5 +1\.50 +1\.00 +0\.333$/m);
    expect(
      await run("convert", "open", "raw.pth", "--to", "original", "--model", base, "--assume-gate", "raw"),
    ).toMatchObject({ code: 0 });
    const { state } = await readAdapterFile(at("raw.pth"), { originalGate: "none" });
    expect(state.params.at(-1)).toBe(1.5);
  });

  test.each([
    [["plain", "x.pth", "--to", "litgpt"], "the adapter does not say how many: give --model or --heads"],
    [
      ["plain", "x.pth", "--to", "onnx"],
      '--to is "onnx", expected one of peft, zerogate, original, multimodal, litgpt, lit-llama',
    ],
    [["plain", "x.pth", "--to", "litgpt", "--heads", "0"], '--heads is "0"'],
    [["plain", "heads", "--to", "zerogate"], "heads: it is not empty: choose a new folder"],
    [["plain", "original.pth", "--to", "original", "--heads", "4"], "original.pth: it exists: choose a new name"],
    [["plain", "original.pth", "--to", "peft"], "is a file: choose a new folder"],
    [["nowhere", "x", "--to", "peft"], "Cannot read nowhere"],
    [["plain", "x", "--to", "zerogate", "--assume-gate", "raw"], "neither side is one"],
    [["heads", "x.pth", "--to", "litgpt", "--heads", "3"], "is for a base with query heads"],
    [["original.pth", "x", "--to", "zerogate", "--adapter-len", "4"], "which does not fit 4 prompts a layer"],
    [["text.pth", "x", "--to", "peft"], 'it is text that begins with "hello, I am no adapter"'],
    [["plain/adapter_model.safetensors", "x", "--to", "peft"], "for an adapter of PEFT give its folder"],
  ])("refuses %j", async (args, message) => {
    writeFileSync(at("text.pth"), "hello, I am no adapter");
    const before = readFileSync(at("original.pth"));
    const refused = await run("convert", ...args);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain(message);
    expect(refused.stderr).not.toMatch(/\n {4}at /);
    expect(readFileSync(at("original.pth")).equals(before)).toBe(true);
  });

  test("an adapter of another base is refused where the base is given", async () => {
    await save("other", {
      ...adapter("none", [0.5]),
      layout: adapterLayout(adapter("none", [0.5]).layout.shape, { ...model, layers: 9 }),
    });
    const refused = await run("convert", "other", "y", "--to", "zerogate", "--model", base);
    expect(refused.stderr).toContain("the adapter is for a base with layers 9, this one has 6");
  });
});

describe("adapters", () => {
  test("list finds adapters below a folder and says what is wrong with broken ones", async () => {
    await save("many/one", adapter("none", [0.5], [-0.25]));
    await save("many/runs/two/adapter", adapter("tanh", heads(0.1)));
    await save("many/broken", adapter("none", [0.5]));
    writeFileSync(at("many/broken/adapter_model.safetensors"), "short");
    const { json, code } = await run("adapters", "list", "many", "--json");
    expect(code).toBe(0);
    expect(json).toMatchObject([
      { path: "many/broken", problem: expect.stringContaining('it is text that begins with "short"') },
      {
        path: "many/one",
        adapterLayers: 2,
        adapterLen: 3,
        gates: "scalar",
        base: "tiny",
        hash: expect.stringMatching(/^\w{64}$/),
      },
      { path: "many/runs/two/adapter", gates: "per-head tanh", adapterLayers: 1 },
    ]);
    const text = await run("adapters", "list", "many");
    expect(text.stdout.split("\n")).toHaveLength(5);
    expect((await run("adapters", "list", "many/runs/two/adapter/x")).code).toBe(2);
  });

  test("show prints config, gates, norms, hash and counts", async () => {
    const { json } = await run("adapters", "show", "plain", "--model", base, "--json");
    const { layout } = await readAdapter(at("plain"));
    expect(json[0]).toMatchObject({
      config: { adapterLen: 3, adapterLayers: 2, baseModelNameOrPath: "tiny" },
      baseLayers: 6,
      hiddenSize: model.hiddenSize,
      parameters: { trainable: layout.length },
      layers: [
        { layer: 4, gates: [0.5] },
        { layer: 5, gates: [-0.25] },
      ],
    });
    const text = await run("adapters", "show", "heads", "--model", base);
    expect(text.stdout).toMatch(/^gate {5}per-head with tanh$/m);
    expect(text.stdout).toMatch(/^gates {4}▁█$/m);
    expect(text.stdout).toMatch(/^trainable params: [\d,]+ \|\| all params: [\d,]+ \|\| trainable%: \d+\.\d{4}$/m);
    expect(text.stdout).toMatch(/^4 +0\.0997 … 0\.380 +\d+\.\d+ +\d+\.\d+$/m);
  });

  test("diff is silent about equal adapters and exits with 1 for others", async () => {
    expect(await run("adapters", "diff", "plain", "plain")).toMatchObject({ code: 0, stdout: "no difference\n" });
    const numbers = await run("adapters", "diff", "plain", "open", "--json");
    expect(numbers.code).toBe(1);
    expect(numbers.json[0]).toEqual({
      same: false,
      config: [],
      layout: [],
      layers: [
        { layer: 4, prompt: { max: 0, mean: 0 }, gate: { max: 0, mean: 0 } },
        { layer: 5, prompt: { max: 0, mean: 0 }, gate: { max: 1.75, mean: 1.75 } },
      ],
    });
    const layouts = await run("adapters", "diff", "plain", "heads");
    expect(layouts).toMatchObject({ code: 1, stderr: "" });
    expect(layouts.stdout).toContain('gateSharing: "scalar" -> "per-head"\ngateActivation: "none" -> "tanh"\n');
    expect(await run("adapters", "diff", "plain", "nowhere")).toMatchObject({ code: 2, stdout: "" });
  });

  test("average weighs adapters of one layout and refuses others", async () => {
    const averaged = await run("adapters", "average", "plain", "open", "--weights", "1,3", "--out", "mean");
    expect(averaged).toMatchObject({ code: 0, stdout: "mean: mean of 0.25 × plain + 0.75 × open\n" });
    const [mean, plain] = [await readAdapter(at("mean")), await readAdapter(at("plain"))];
    expect(mean.params.at(-1)).toBe(0.25 * -0.25 + 0.75 * 1.5);
    expect(mean.params.slice(0, -1)).toEqual(plain.params.slice(0, -1));
    const modules = { root: "transformer", layers: "h", attention: "attn" };
    const config = { ...plain.config, targetModules: "attn" };
    const layout = adapterLayoutOn(plain.layout.shape, { ...plain.layout.base, modules });
    await saveAdapter(at("elsewhere"), { config, layout, params: plain.params });
    const differ = await run("adapters", "diff", "plain", "elsewhere");
    expect(differ.stdout).toContain('modules: "layers.{i}.self_attn" -> "h.{i}.attn"');
    for (const [args, message] of [
      [["plain", "elsewhere"], "elsewhere is for a base with h.{i}.attn; plain with layers.{i}.self_attn"],
      [["plain", "heads"], "Cannot average adapters of different layouts: heads has 2 of 6 layers"],
      [["plain"], "there is 1 adapter, needed are at least 2"],
      [["plain", "open", "--weights", "1"], '--weights is "1", expected 2 numbers'],
      [["plain", "open", "--weights", "1,-1"], "expected 2 numbers of at least 0"],
      [["plain", "open", "--weights", "0,0"], "not all 0"],
    ] as const) {
      const refused = await run("adapters", "average", ...args, "--out", "never");
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain(message);
    }
    expect(await run("adapters", "average", "plain", "open", "--out", "mean")).toMatchObject({ code: 2 });
    expect(readdirSync(folder)).not.toContain("never");
  });
});
