/** `zerogate verify --against peft`: the user's own base and adapter, here and in the real PEFT. */
import { join } from "node:path";
import { adapterLayout, initParameters, layerParts, parseAdaptionPromptConfig, partNumbers } from "@zerogate/core";
import { readModelConfig, saveAdapter } from "@zerogate/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder, zerogate } from "../support/cli.ts";
import { absentModules, python } from "../support/python.ts";
import { base } from "../support/world.ts";

const absentPython = absentModules("peft", "torch", "transformers");

const folder = testFolder();
const [plain, perHead] = [join(folder, "plain"), join(folder, "per=head")];

beforeAll(async () => {
  const model = await readModelConfig(base);
  const json = { peft_type: "ADAPTION_PROMPT", task_type: "CAUSAL_LM", adapter_len: 6, adapter_layers: 3 };
  const { config } = parseAdaptionPromptConfig(json, "test");
  for (const [path, gateSharing] of [
    [plain, "scalar"],
    [perHead, "per-head"],
  ] as const) {
    const shape = { promptLength: 6, adaptedLayers: 3, gateSharing, gateActivation: "none" } as const;
    const layout = adapterLayout(shape, model);
    const params = initParameters(layout.table, 3);
    for (const { gate } of layerParts(layout)) partNumbers(gate, params).fill(0.7);
    await saveAdapter(path, { config, layout, params });
  }
});

const verify = (...args: string[]) =>
  zerogate(["verify", "--against", "peft", "--model", base, ...args], {
    cwd: folder,
    env: { ZEROGATE_PYTHON: python },
  });

test("a Python without PEFT, a base or adapter that is not named, and gates that PEFT lacks are refused", async () => {
  const cases = [
    { args: ["--adapter", plain, "--python", "no-such-python"], message: "there is no no-such-python: name a Python" },
    { args: [], message: "--adapter is missing" },
    { args: ["--adapter", perHead], message: "its gates are per-head, PEFT has one plain gate a layer only" },
    { args: ["--adapter", plain, "--text", ""], message: 'text "" is one token, two or more are needed' },
    {
      args: ["--adapter", plain, "--tolerance", "-1"],
      message: '--tolerance is "-1", expected a number of at least 0',
    },
  ];
  for (const { args, message } of cases) {
    expect(await verify(...args)).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(message) });
  }
});

describe.skipIf(absentPython !== "")(`with PEFT${absentPython}`, () => {
  test("an adapter that both compute alike is called so, with the largest differences", async () => {
    const { code, json, stderr } = await verify("--adapter", plain, "--json");
    expect(code, stderr).toBe(0);
    const [result] = json;
    expect(result).toMatchObject({ agrees: true, texts: 3, keys: [], versions: { peft: expect.any(String) } });
    for (const part of ["logits", "loss", "prompts", "gates"]) {
      const { difference, largest, relative } = (result?.[part] ?? {}) as Record<string, number>;
      expect(relative, part).toBeLessThan(1e-5);
      expect(largest, part).toBeGreaterThan(0);
      expect(relative, part).toBeCloseTo((difference ?? Number.NaN) / (largest ?? 0), 9);
    }
  });

  test("a difference beyond the tolerance ends with exit code 3 and says so", async () => {
    const found = await verify("--adapter", plain, "--text", "One text of its own", "--tolerance", "0");
    expect(found.code, found.stderr).toBe(3);
    expect(found.stdout).toMatch(/^with +peft \d[^]*on +1 texts[^]*verdict +zerogate and PEFT DIFFER \(tolerance 0/m);
  });
});
