/** What `compute: auto` is: of a base as its files hold it, on engines of this file's own. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSafetensors, serializeSafetensors, type Tensor } from "@zerogate/core/formats";
import { readModelConfig } from "@zerogate/core/node";
import type { TrainConfig } from "@zerogate/run-config";
import { afterAll, beforeAll, expect, test } from "vitest";
import { localTeams } from "../../test/local_ranks.ts";
import type { RunInputs } from "../run/inputs.ts";
import { openAlike } from "../team/same_everywhere.ts";
import { resolveCompute } from "./compute.ts";

let folder: string;
const at = (name: string) => join(folder, name);
/** A module of engines that multiply in these. */
const engineOf = (...computes: string[]) => at(`${computes.join("_")}.mjs`);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "zerogate-compute-"));
  for (const computes of [["f32"], ["f32", "bf16"]]) {
    const traits = JSON.stringify({ computes, storages: ["as-is"], weightDtypes: ["f32", "bf16"] });
    const description = `{ names: ["own"], devices: () => [], traits: () => (${traits}), setup: () => ({}) }`;
    const text = `export const description = ${description};\nexport const createEngine = () => {};\n`;
    writeFileSync(engineOf(...computes), text);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

const world = fileURLToPath(new URL("../../world/base", import.meta.url));

/** The embedded base, which is in bf16, with some of its tensors stored otherwise. */
function baseWith(name: string, change: (tensor: Tensor, name: string) => Tensor): string {
  mkdirSync(at(name));
  copyFileSync(join(world, "config.json"), join(at(name), "config.json"));
  const { tensors } = parseSafetensors(readFileSync(join(world, "model.safetensors")), "model.safetensors");
  const changed = new Map([...tensors].map(([own, tensor]) => [own, change(tensor, own)]));
  writeFileSync(join(at(name), "model.safetensors"), serializeSafetensors(changed));
  return at(name);
}
const inF16 = (tensor: Tensor): Tensor => ({ ...tensor, dtype: "F16" });
const inF32 = ({ shape, bytes }: Tensor): Tensor => {
  const wide = new Uint8Array(2 * bytes.length);
  for (let i = 0; i < bytes.length; i += 2) wide.set(bytes.subarray(i, i + 2), 2 * i + 2);
  return { dtype: "F32", shape, bytes: wide };
};

test.each<[name: string, change: (tensor: Tensor, name: string) => Tensor, expected: string]>([
  ["in bf16", (tensor) => tensor, "bf16"],
  ["in bf16 with norms in f32", (tensor, name) => (name.includes("norm") ? inF32(tensor) : tensor), "bf16"],
  ["with one map in f32", (tensor, name) => (name.endsWith("2.mlp.down_proj.weight") ? inF32(tensor) : tensor), "f32"],
  ["in f32", inF32, "f32"],
  ["in f16, which has bits that bf16 has not", inF16, "f32"],
])("a base %s", async (name, change, expected) => {
  const model = baseWith(name, change);
  const config = await readModelConfig(model, { onWarning() {} });
  expect(await resolveCompute({ engine: engineOf("f32", "bf16"), model }, config)).toBe(expected);
  expect(await resolveCompute({ engine: engineOf("f32"), model }, config)).toBe("f32");
});

test("hosts compute in bf16 only if all of them have it, and one that was given something else is not waited for", async () => {
  const model = baseWith("shared", (tensor) => tensor);
  const both = engineOf("f32", "bf16");
  const agreed = async (ranks: readonly Partial<TrainConfig>[]) => {
    const seen: string[] = [];
    const { all } = localTeams(ranks.length);
    const found = await all(async (team) => {
      const config = { model, compute: "auto", ...ranks[team.rank] } as TrainConfig;
      await openAlike(team, config, async ({ compute }) => {
        seen[team.rank] = compute;
        return { hashes: {}, engine: {} } as unknown as RunInputs;
      });
    });
    expect(found).toEqual(ranks.map(() => undefined));
    return seen;
  };
  expect(await agreed([{ engine: both }, { engine: both }])).toEqual(["bf16", "bf16"]);
  expect(await agreed([{ engine: both }, { engine: engineOf("f32") }])).toEqual(["f32", "f32"]);
  expect(await agreed([{ engine: both }, { engine: both, compute: "f32" }])).toEqual(["f32", "f32"]);
});
