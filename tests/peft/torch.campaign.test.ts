/** Files of real torch and real PEFT, read without executing anything, and files of ours that torch and PEFT read. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "@zerogate/core";
import {
  elementBytes,
  memorySource,
  openTorchFile,
  parseSafetensors,
  readTorchTensors,
  serializeSafetensors,
  serializeTorchFile,
  type Tensor,
  tensorsOf,
} from "@zerogate/core/formats";
import { loadAdapters, readAdapter, readModelConfig, type StoredAdapter, saveAdapters } from "@zerogate/core/node";
import { uniform } from "@zerogate/core/training";
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder } from "../support/cli.ts";
import { zerogateHere } from "../support/here.ts";
import { absentModules, runPython } from "../support/python.ts";
import { base } from "../support/world.ts";

const absent = absentModules("torch", "safetensors", "peft", "transformers");
const script = fileURLToPath(new URL("torch_check.py", import.meta.url));
const COUNT = 60;

async function readTorch(path: string): Promise<Map<string, Tensor>> {
  const file = await openTorchFile(memorySource(new Uint8Array(await readFile(path)), path));
  const model = file.root instanceof Map ? file.root.get("model") : undefined;
  return readTorchTensors(file, tensorsOf(model instanceof Map ? model : file.root));
}

/** As safetensors writes them, so that neither order nor addresses count. */
async function readSafe(path: string): Promise<Uint8Array> {
  return serializeSafetensors(parseSafetensors(new Uint8Array(await readFile(path)), path).tensors);
}

describe.skipIf(absent !== "")(`real torch${absent}`, () => {
  const folder = testFolder();
  beforeAll(() => runPython(script, "write", folder, "11", String(COUNT)));

  test(`${COUNT} random files of torch.save, with views, strides, parameters and shared storages, are read bit for bit [A4]`, async () => {
    for (let i = 0; i < COUNT; i++) {
      const found = await readTorch(join(folder, `${i}.pth`));
      expect(serializeSafetensors(found), `${i}.pth`).toEqual(await readSafe(join(folder, `${i}.safetensors`)));
    }
  });

  test.each([
    ["attack", '"posix.system"'],
    ["module", '"torch.nn.modules.linear.Linear"'],
    ["complex", '"torch.ComplexFloatStorage"'],
    ["sparse", '"torch._utils._rebuild_sparse_tensor"'],
  ])("a pickled %s is refused by name and runs nothing", async (name, global) => {
    const error = await readTorch(join(folder, `${name}.bad`)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InputError);
    expect(String(error)).toContain(`it asks for ${global}`);
    for (const place of [process.cwd(), folder]) expect(existsSync(join(place, "owned"))).toBe(false);
  });

  test("what we write torch.load reads with weights_only=True, bit for bit [A4]", async () => {
    const ours = join(folder, "ours");
    await mkdir(ours);
    const dtypes = ["F32", "F16", "BF16", "F64", "I64", "I32", "I16", "I8", "U8"] as const;
    for (const within of [undefined, "model"]) {
      const tensors = new Map(
        dtypes.map((dtype, d): [string, Tensor] => {
          const shape = [[], [3], [2, 0, 3], [2, 3, 1, 4]][d % 4] ?? [];
          const bytes = shape.reduce((a, b) => a * b, elementBytes[dtype]);
          const content = Uint8Array.from({ length: bytes }, (_, i) => 256 * uniform(d, i));
          return [`${dtype} é \u{1f600}`, { dtype, shape, bytes: content }];
        }),
      );
      await writeFile(join(ours, `${within}.pth`), serializeTorchFile(tensors, within));
      await writeFile(join(ours, `${within}.safetensors`), serializeSafetensors(tensors));
    }
    await runPython(script, "read", ours);
    expect(await readdir(ours)).toHaveLength(6);
    for (const name of ["undefined", "model"]) {
      expect(await readSafe(join(ours, `${name}.torch`))).toEqual(await readSafe(join(ours, `${name}.safetensors`)));
    }
  });

  test("PEFT's adapter_model.bin is its safetensors; adapters called default and 3 stay apart both ways [A4, D4, P4, P6, P13]", async () => {
    await runPython(script, "save_bin", base, folder);
    const model = await readModelConfig(base);
    const [bin, safe] = [
      await loadAdapters(join(folder, "bin"), model),
      await loadAdapters(join(folder, "safe"), model),
    ];
    expect([...bin.keys()]).toEqual(["default", "3"]);
    for (const [name, { params, config }] of bin) {
      expect(safe.get(name)).toMatchObject({ params, config });
      expect(params.at(-1)).toBe(name === "3" ? 0.25 : 0.5);
    }
    const stored = new Map([
      ["default", await readAdapter(join(folder, "bin"))],
      ["3", await readAdapter(join(folder, "bin", "3"))],
    ]);
    const source = {
      adapterNames: [...stored.keys()],
      adapter: (name: string) => stored.get(name) as StoredAdapter,
    };
    await saveAdapters(join(folder, "again"), source);
    for (const name of ["", "3"]) {
      await runPython(script, "load", base, join(folder, "again", name));
      const [theirs, ours] = [join(folder, "again", name, "peft.safetensors"), join(folder, "safe", name)];
      expect(await readSafe(theirs)).toEqual(await readSafe(join(ours, "adapter_model.safetensors")));
    }
  });

  test("an adapter that went to the original's .pth and back is PEFT's again, in raw gates bit for bit [F1]", async () => {
    const at = (name: string) => join(folder, name);
    await runPython(script, "save_bin", base, folder);
    const convert = async (...args: string[]) => {
      expect(await zerogateHere(["convert", ...args], { cwd: folder })).toMatchObject({ code: 0 });
    };
    await convert("safe", "original.pth", "--to", "original", "--model", base, "--assume-gate", "raw");
    await mkdir(at("torch"));
    await convert("original.pth", "torch/lit.pth", "--to", "litgpt", "--assume-gate", "raw");
    await runPython(script, "read", at("torch"));
    await convert("torch/lit.pth", "back", "--to", "peft");
    expect(await readSafe(at("back/adapter_model.safetensors"))).toEqual(
      await readSafe(at("safe/adapter_model.safetensors")),
    );
  });
});
