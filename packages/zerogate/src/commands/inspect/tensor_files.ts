/** Files of tensors: whose they are, by the names in them. */
import { listTensors } from "@zerogate/core/node";
import type { JsonObject, KnownFile } from "./known_file.ts";

export const tensorFiles: readonly KnownFile[] = [
  {
    kind: "tensors",
    format: "safetensors",
    what: "tensors in safetensors",
    is: ({ name, described }) =>
      described?.kind === "safetensors" || (name.endsWith(".safetensors") && described === undefined),
    read: ({ path }) => tensorFacts(path),
  },
  {
    kind: "torch",
    format: "torch",
    what: "tensors as torch.save writes them; they are read without running anything",
    is: ({ described }) => described?.kind === "torch",
    read: ({ path }) => tensorFacts(path),
  },
];

async function tensorFacts(path: string): Promise<JsonObject> {
  const { entries, metadata } = await listTensors(path);
  const tensors = [...entries].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const numbersOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const dtypes: Record<string, number> = {};
  for (const { dtype, shape } of tensors) dtypes[dtype] = (dtypes[dtype] ?? 0) + numbersOf(shape);
  return {
    holds: ownerOf([...entries.keys()]),
    numbers: tensors.reduce((sum, { shape }) => sum + numbersOf(shape), 0),
    dtypes,
    metadata: Object.fromEntries(metadata),
    tensors,
  };
}

/** In this order: a training checkpoint of the original code holds a base too. */
const owners: readonly (readonly [pattern: RegExp, whose: string])[] = [
  [/\.adaption_(?:prompt|gate)$/, "an adapter of PEFT or zerogate: inspect its folder"],
  [/^adapter_query\.weight$/, "an adapter of the original LLaMA-Adapter code: convert reads it"],
  [/\.adapter_wte\.weight$/, "an adapter of litgpt or lit-llama: convert reads it"],
  [/\.lora_[AB]\b/, "a LoRA adapter, which is not read"],
  [/^(?:model\.|transformer\.)?(?:layers|h)\.\d+\./, "weights of a base model: inspect its folder"],
];

function ownerOf(names: readonly string[]): string {
  return (
    owners.find(([pattern]) => names.some((name) => pattern.test(name)))?.[1] ?? "tensors that zerogate has no use for"
  );
}
