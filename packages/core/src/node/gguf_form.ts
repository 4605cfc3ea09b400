/** A base in a GGUF file, or in the parts of one. */
import { InputError } from "../errors.ts";
import { decodeBlocks } from "../formats/gguf_blocks.ts";
import type { GgmlType } from "../formats/gguf_types.ts";
import { shortest } from "../formats/gguf_values.ts";
import type { TensorDecoder } from "../formats/tensor_decoder.ts";
import type { GgufContents } from "../model/gguf/architecture.ts";
import { ggufConfig, ggufNames } from "../model/gguf/model.ts";
import type { BaseForm } from "./base_form.ts";
import { ggufParts, type OpenedGguf, openGguf } from "./gguf_file.ts";
import type { PlacedTensor } from "./placed_tensor.ts";
import { readFully } from "./regular_file.ts";
import type { WeightFiles } from "./weight_files.ts";

/** More than any list of rotation factors has. */
const MAX_FACTORS = 2 ** 16;
const EMBEDDING = "token_embd.weight";

export function ggufForm(path: string): BaseForm {
  const requireWeights = async (): Promise<WeightFiles> => {
    const files = await ggufParts(path);
    const open = async () => {
      const opened = await openGguf(files);
      try {
        return { tensors: placed(opened, path), close: opened.close };
      } catch (error) {
        await opened.close();
        throw error;
      }
    };
    return { files, open };
  };
  return {
    async readConfig() {
      const opened = await openGguf(await ggufParts(path));
      try {
        return { json: await configOf(opened, path), path };
      } finally {
        await opened.close();
      }
    },
    readGeneration: async () => ({ json: {}, path }),
    findWeights: requireWeights,
    requireWeights,
    configFiles: async () => new Map(),
  };
}

async function configOf({ metadata, tensors }: OpenedGguf, path: string): Promise<unknown> {
  const factors = new Map<string, readonly number[]>();
  for (const [name, { file, begin, shape, type }] of tensors) {
    if (!/^rope_f\w+\.weight$/.test(name)) continue;
    if (type.dtype !== "F32" || shape.length !== 1 || shape[0] > MAX_FACTORS) {
      throw new InputError(
        `Cannot use ${path} as a model`,
        `${name} is ${type.name}[${shape.join(", ")}], needed is a list in F32`,
      );
    }
    const numbers = new Float32Array(shape[0]);
    await readFully(file, new Uint8Array(numbers.buffer), begin);
    factors.set(name, Array.from(numbers, shortest));
  }
  const contents: GgufContents = { has: (name) => tensors.has(name), numbers: (name) => factors.get(name) };
  const embedding = tensors.get(EMBEDDING);
  if (embedding === undefined) throw new InputError(`Cannot use ${path} as a model`, `it has no ${EMBEDDING}`);
  return ggufConfig(metadata, contents, { vocabSize: embedding.shape[0], path });
}

/** The tensors under their names in transformers. */
function placed(opened: OpenedGguf, path: string): ReadonlyMap<string, PlacedTensor> {
  const names = ggufNames(opened.metadata, opened.tensors, path);
  const tensors = new Map<string, PlacedTensor>();
  for (const [stored, { type, shape, begin, end, file }] of opened.tensors) {
    const { hfNames = [], ...changes } = names.get(stored) ?? {};
    const bytes = (end - begin) / hfNames.length;
    for (const [i, hfName] of hfNames.entries()) {
      tensors.set(hfName, {
        dtype: type.dtype ?? "F32",
        shape: hfNames.length > 1 || shape.length > 2 ? shape.slice(1) : shape,
        begin: begin + i * bytes,
        end: begin + (i + 1) * bytes,
        file,
        ...(type.dtype === undefined && { decoder: blockDecoder(type) }),
        ...changes,
      });
    }
  }
  return tensors;
}

function blockDecoder({ name, blockBytes, blockNumbers }: GgmlType): TensorDecoder {
  return {
    name,
    unitBytes: blockBytes,
    unitNumbers: blockNumbers,
    ...(name === "Q4_0" && { isInt4: true }),
    open: async () => (bytes, out) => decodeBlocks(name, bytes, out),
  };
}
