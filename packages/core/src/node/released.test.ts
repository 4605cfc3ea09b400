/** Released multimodal checkpoints of LLaMA-Adapter V2, both ways. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { absent, sharedPath } from "../../test/shared.ts";
import { tinyConfig } from "../../test/tiny_model.ts";
import { seeingQueries } from "../../test/visual_adapter.ts";
import { convertGates } from "../adapter/files/convert_gates.ts";
import { releasedTensors } from "../adapter/files/write_released.ts";
import { effectiveGates } from "../adapter/kinds/adaption_prompt.ts";
import { serializeSafetensors, type Tensor } from "../formats/safetensors.ts";
import { loadAdapter, readAdapter, readAdapterFile, writeAdapterFile } from "../node.ts";
import { withTensorFile } from "./adapter_weights.ts";
import { writeFileAtomic } from "./atomic.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-released-"));
});
afterAll(() => rm(scratch, { recursive: true }));

const adapter = seeingQueries(tinyConfig());
const options = { visionHeads: 2 };
const tensorsIn = (path: string) => withTensorFile(path, (stored) => stored.read());
const f32 = (shape: readonly number[], ...values: number[]): Tensor => {
  const numbers = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0);
  numbers.set(values);
  return { dtype: "F32", shape, bytes: new Uint8Array(numbers.buffer) };
};

let files = 0;
/** The adapter's file with further tensors, or without some. */
async function fileWith(changes: Readonly<Record<string, Tensor | undefined>>): Promise<string> {
  const tensors = new Map(releasedTensors(adapter));
  for (const [name, tensor] of Object.entries(changes)) {
    if (tensor) tensors.set(name, tensor);
    else tensors.delete(name);
  }
  const path = join(scratch, `changed-${files++}.safetensors`);
  await writeFileAtomic(path, serializeSafetensors(tensors));
  return path;
}

test.each(["pth", "safetensors"])(
  "an adapter goes to a .%s file and comes back, number for number [V6]",
  async (kind) => {
    const path = join(scratch, `mine.${kind}`);
    await writeAdapterFile(path, adapter, "multimodal");
    const { dialect, state, notes } = await readAdapterFile(path, options);
    expect(dialect).toBe("multimodal");
    expect(state.params).toEqual(adapter.params);
    expect(state.layout).toEqual(adapter.layout);
    expect(notes).toEqual(["2 layers of 3 prompts; 2 heads of visual blocks are taken: --vision-heads"]);
  },
);

const reason = absent("golden/multimodal_query");

test.skipIf(reason !== "")(
  `a file of torch in the released layout is the adapter of the same numbers, and is written as it was [V6]${reason}`,
  async () => {
    const source = sharedPath("golden/multimodal_query/released_layout.pth");
    const { state } = await readAdapterFile(source, { visionHeads: 4 });
    const folder = await readAdapter(sharedPath("golden/multimodal_query/adapter"));
    expect(state.params).toEqual(folder.params);
    expect(state.layout.shape).toEqual({ ...folder.layout.shape, outputBiasTimes: undefined });
    const back = join(scratch, "back.pth");
    await writeAdapterFile(back, { layout: folder.layout, params: folder.params }, "multimodal");
    const [ours, theirs] = [await tensorsIn(back), await tensorsIn(source)];
    expect([...ours.keys()].toSorted()).toEqual([...theirs.keys()].toSorted());
    for (const [name, tensor] of theirs) expect(ours.get(name), name).toEqual(tensor);
  },
);

const gate = "llama.layers.2.attention"; // the last one
test.each<[string, Record<string, Tensor | undefined>, string]>([
  ["LoRA", { "llama.layers.0.attention.lora_wq_l1.weight": f32([2, 2]) }, "it was built with LoRA"],
  ["trained biases", { "llama.layers.0.attention.wq.bias": f32([2], 0, 1) }, "it trains biases of the base"],
  ["trained norms", { "llama.norm.weight": f32([2], 1, 1) }, "it trains norms of the base"],
  ["factors of gates", { [`${gate}.new_gate`]: f32([1, 1, 1, 1], 0.5) }, "its gates have factors (new_gate)"],
  [
    "a tensor that is missing",
    { "visual_blocks.1.mlp.fc1.bias": undefined },
    "visual_blocks.1.mlp.fc1.bias is missing",
  ],
  [
    "a tensor of another shape",
    { "clip_proj.bias": f32([7]) },
    "clip_proj.bias is F32 [7], needed is F32, F16 or BF16 [6]",
  ],
  ["a tensor too many", { "visual_blocks.1.extra": f32([2]) }, '"visual_blocks.1.extra" is not part of this adapter'],
  [
    "no gates",
    Object.fromEntries([0, 1, 2, 3].map((i) => [`llama.layers.${i}.attention.gate`, undefined])),
    "it has no llama.layers",
  ],
  [
    "prompts that do not fit",
    { "adapter_query.weight": f32([7, 12]) },
    "adapter_query.weight has 7 rows, visual_query.weight 3",
  ],
  [
    "numbers that are not finite",
    { "visual_proj.bias": f32([12], Number.NaN) },
    "visual_proj.bias holds 1 numbers that are not finite",
  ],
  ["heads that do not fit", {}, "a width of 6 does not divide over 4 heads: say how many there are (--vision-heads)"],
])("%s are refused by name", async (title, changes, said) => {
  const path = await fileWith(changes);
  const visionHeads = title.startsWith("heads") ? 4 : 2;
  await expect(readAdapterFile(path, { visionHeads })).rejects.toThrow(said);
});

test("biases of zero, and norms beside the base that they are of, are no training", async () => {
  const zero = { "llama.layers.0.attention.wq.bias": f32([2]) };
  const base = { "llama.norm.weight": f32([2], 1, 1), "llama.layers.0.attention.wq.weight": f32([2, 2]) };
  for (const changes of [zero, base]) {
    expect((await readAdapterFile(await fileWith(changes), options)).state.params).toEqual(adapter.params);
  }
});

test("factors of gates are folded into gates without tanh if that is asked for, and unused gates are named", async () => {
  const [, last] = effectiveGates(adapter);
  const path = await fileWith({
    "llama.layers.1.attention.new_gate": f32([1, 1, 1, 1], 1),
    [`${gate}.new_gate`]: f32([1, 1, 1, 1], 3),
    "llama.layers.0.attention.gate": f32([1, 4, 1, 1], 0, 2),
  });
  const { state, notes } = await readAdapterFile(path, { ...options, rawGates: true });
  expect(state.layout.shape).toMatchObject({ gateSharing: "per-head", gateActivation: "none" });
  const folded = effectiveGates(state)[1]?.effective ?? [];
  for (const [h, factor] of folded.entries()) expect(factor).toBeCloseTo(3 * (last?.effective[h] ?? 0), 6);
  expect(notes.at(-1)).toBe("1 of the 1 layers below the adapted ones have gates that are not 0: nothing reads them");
});

test("a file that does not say what it sees is to be converted, not loaded", async () => {
  await expect(loadAdapter(await fileWith({}), tinyConfig())).rejects.toThrow("convert it (zerogate convert");
});

test("other gates keep what is trained for images", () => {
  const { state } = convertGates(adapter, { gateSharing: "per-head", gateActivation: "none" });
  const visual = state.layout.table.filter(({ part }) => part === "visual");
  expect(visual.length).toBeGreaterThan(20);
  const from = visual[0]?.offset ?? 0;
  expect(state.params.subarray(from)).toEqual(adapter.params.subarray(from));
});
