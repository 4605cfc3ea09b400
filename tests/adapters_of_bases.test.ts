/** `zerogate convert` and `zerogate adapters` on adapters of each family of bases. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { adapterLayout, adaptionPromptConfig, initParameters, layerParts, partNumbers } from "@zerogate/core";
import { readAdapter, readModelConfig, saveAdapter } from "@zerogate/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { writeTinyBase } from "./support/tiny_base.ts";
import { base } from "./support/world.ts";

const folder = testFolder();
const at = (...path: string[]) => join(folder, ...path);
const run = (...args: string[]) => zerogateHere(args, { cwd: folder });

describe.each(["gpt2", "qwen2", "gemma"] as const)("an adapter of a %s [M-gpt2, M-qwen2, M-gemma]", (type) => {
  const own = `${type}-base`;
  const layersName = type === "gpt2" ? "transformer.h.2.attn" : "model.layers.2.self_attn";

  beforeAll(async () => {
    writeTinyBase(at(own), type);
    const config = await readModelConfig(at(own));
    const shape = { promptLength: 2, adaptedLayers: 2, gateSharing: "per-head", gateActivation: "none" } as const;
    for (const [i, gateSharing] of (["scalar", "per-head", "scalar"] as const).entries()) {
      const layout = adapterLayout({ ...shape, gateSharing }, config);
      const params = initParameters(layout.table, i);
      for (const { gate } of layerParts(layout)) partNumbers(gate, params).fill(0.25 * (i + 1));
      const fields = { adapterLen: 2, adapterLayers: 2, taskType: "CAUSAL_LM", baseModelNameOrPath: own } as const;
      await saveAdapter(at(`${type}-${i}`), { config: adaptionPromptConfig(fields), layout, params });
    }
  });

  test("keeps its names and numbers through peft and zerogate [M-peft]", async () => {
    for (const [from, to] of [
      [1, "zerogate"],
      [1, "peft"],
      [0, "peft"],
    ] as const) {
      const out = `${type}-${from}-${to}`;
      expect(await run("convert", `${type}-${from}`, out, "--to", to, "--model", own)).toMatchObject({ code: 0 });
      const [was, is] = [await readAdapter(at(`${type}-${from}`)), await readAdapter(at(out))];
      expect(is.params.slice(0, 48)).toEqual(was.params.slice(0, 48)); // prompts of the lowest layer
      expect(is.config.targetModules).toBe(type === "gpt2" ? "attn" : "self_attn");
      const names = readFileSync(at(out, "adapter_model.safetensors")).toString("latin1");
      expect(names).toContain(`base_model.model.${layersName}.adaption_gate`);
    }
  });

  const foreign = ["litgpt", "lit-llama", "original"];

  test.runIf(type === "gpt2")("is refused to programs that add prompts before the output projection", async () => {
    for (const to of foreign) {
      const refused = await run("convert", `${type}-1`, `${to}.pth`, "--to", to, "--model", own);
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain("is added after the output projection");
    }
  });

  test.runIf(type === "gpt2")("is refused to them without its base too, by the names of its modules", async () => {
    const { config, layout, params } = await readAdapter(at(`${type}-1`));
    await saveAdapter(at("homeless"), { config: { ...config, baseModelNameOrPath: null }, layout, params });
    const refused = await run("convert", "homeless", "homeless.pth", "--to", "litgpt", "--heads", "4");
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain(
      "is for a base with h.{i}.attn, a reader of litgpt knows layers.{i}.self_attn only",
    );
  });

  test.runIf(type !== "gpt2")(
    "is refused to them without its base, to which their readers may attach prompts otherwise",
    async () => {
      const { config, layout, params } = await readAdapter(at(`${type}-1`));
      await saveAdapter(at(`${type}-alone`), { config: { ...config, baseModelNameOrPath: null }, layout, params });
      const refused = await run("convert", `${type}-alone`, `${type}-alone.pth`, "--to", "litgpt");
      expect(refused).toMatchObject({ code: 2, stdout: "" });
      expect(refused.stderr).toContain("for a base that PEFT does not know");
    },
  );

  test.runIf(type !== "gpt2")("goes to every other format and back", async () => {
    for (const to of foreign) {
      const file = `${type}-${to}.pth`;
      expect(await run("convert", `${type}-1`, file, "--to", to, "--model", own)).toMatchObject({ code: 0 });
      expect(await run("convert", file, `${file}.back`, "--to", "peft", "--model", own)).toMatchObject({ code: 0 });
      const [was, is] = [await readAdapter(at(`${type}-1`)), await readAdapter(at(`${file}.back`))];
      for (const { prompt, gate } of layerParts(is.layout)) {
        const from = was.layout.table.find(({ name }) => name === prompt.name);
        expect(partNumbers(prompt, is.params)).toEqual(from && partNumbers(from, was.params));
        expect(is.params[gate.offset]).toBeCloseTo(0.5, 6);
      }
    }
  });

  test("is listed, shown, compared and averaged", async () => {
    const listed = await run("adapters", "list", ".", "--json");
    expect(listed.json).toContainEqual(expect.objectContaining({ path: `${type}-0`, adapterLayers: 2, base: own }));
    const shown = await run("adapters", "show", `${type}-0`, "--model", own, "--json");
    expect(shown.json[0]).toMatchObject({ baseLayers: 3, hiddenSize: 24, layers: [{ layer: 1 }, { layer: 2 }] });
    const compared = await run("adapters", "diff", `${type}-0`, `${type}-2`, "--json");
    expect(compared).toMatchObject({ code: 1 });
    expect(compared.json[0]).toMatchObject({ layout: [], layers: [{ gate: { max: 0.5 } }, { gate: { max: 0.5 } }] });
    const out = `${type}-mean`;
    expect(await run("adapters", "average", `${type}-0`, `${type}-2`, "--out", out)).toMatchObject({ code: 0 });
    const text = await run("generate", "--model", own, "--adapter", out, "--prompt", "hello", "--max-new-tokens", "2");
    expect(text).toMatchObject({ code: 0 });
    expect((await readAdapter(at(out))).params.at(-1)).toBe(0.5);
  });

  test.runIf(type === "gpt2")("is refused on a base of the other names", async () => {
    const layout = adapterLayout({ promptLength: 3, adaptedLayers: 2 }, await readModelConfig(base));
    const fields = { adapterLen: 3, adapterLayers: 2, taskType: "CAUSAL_LM", baseModelNameOrPath: "tiny" } as const;
    const params = initParameters(layout.table, 5);
    await saveAdapter(at("plain"), { config: adaptionPromptConfig(fields), layout, params });
    const refused = await run("convert", "plain", "w", "--to", "zerogate", "--model", own);
    expect(refused.stderr).toContain("the adapter is for a base with layers.{i}.self_attn, this one is a gpt2");
  });
});
