/** Makes of the tensors that a tool packed the linear maps that they stand for, under the names that transformers has. */
import type { DType } from "../engine/engine.ts";
import { InputError } from "../errors.ts";
import { type PackedTensor, type Packing, PackingError } from "../formats/packed/packing.ts";
import type { TensorDType } from "../formats/safetensors.ts";
import type { PlacedTensor } from "./placed_tensor.ts";
import { readFully } from "./regular_file.ts";

const stored: Readonly<Record<DType, TensorDType>> = { f32: "F32", f16: "F16", bf16: "BF16" };

/** What tools keep of the numbers that go through a map: they compute with rounded ones, which is not done here. */
const ofActivations =
  /\.(?:input_scale|output_scale|activation_scale|input_zero_point|output_zero_point|k_scale|v_scale|input_global_scale)$/;

/**
 * @param folder is for messages.
 * @throws InputError that lists the maps that cannot be unpacked.
 */
export async function unpackTensors(
  tensors: ReadonlyMap<string, PlacedTensor>,
  packings: readonly Packing[],
  folder: string,
): Promise<ReadonlyMap<string, PlacedTensor>> {
  const unpacked = new Map<string, PlacedTensor>();
  const used = new Set<string>();
  const problems: string[] = [];
  for (const packing of packings) {
    const end = `.${packing.codes}`;
    for (const [name, tensor] of tensors) {
      if (!name.endsWith(end) || used.has(name)) continue;
      const path = name.slice(0, -end.length);
      if (!tensors.has(`${path}.${packing.mark}`)) continue;
      for (const own of [packing.codes, ...packing.sides]) used.add(`${path}.${own}`);
      const side = (own: string) => {
        const found = tensors.get(`${path}.${own}`);
        return found && packing.sides.includes(own) ? readable(found) : undefined;
      };
      try {
        const { shape, dtype, decoder } = await packing.unpack({ codes: readable(tensor), side });
        if (
          decoder.unitBytes * (shape.reduce((a, b) => a * b, 1) / decoder.unitNumbers) !==
          tensor.end - tensor.begin
        ) {
          throw new PackingError(
            `its codes have ${tensor.end - tensor.begin} bytes, which is no [${shape.join(", ")}]`,
          );
        }
        const open = () => decoder.open().catch((error: unknown) => fail(folder, [problemOf(error, path, packing)]));
        unpacked.set(`${path}.weight`, { ...tensor, dtype: stored[dtype], shape, decoder: { ...decoder, open } });
      } catch (error) {
        problems.push(problemOf(error, path, packing));
      }
    }
  }
  const sides = new Set(packings.flatMap((packing) => packing.sides));
  const result = new Map<string, PlacedTensor>();
  for (const [name, tensor] of tensors) {
    if (used.has(name) || ofActivations.test(name)) continue;
    const last = [...sides].find((side) => name.endsWith(`.${side}`));
    if (last !== undefined) problems.push(`${name} belongs to a packed map that is not there: fetch the model again`);
    result.set(name, tensor);
  }
  if (problems.length > 0) fail(folder, problems);
  return new Map([...result, ...unpacked]);
}

function problemOf(error: unknown, path: string, packing: Packing): string {
  if (!(error instanceof PackingError)) throw error;
  return `${path} is not as ${packing.name} packs it: ${error.message}`;
}

/** A wrong config makes every map wrong: the first ones show it. */
function fail(folder: string, problems: readonly string[]): never {
  const shown = 20;
  const rest = problems.length > shown ? [`and ${problems.length - shown} more`] : [];
  throw new InputError(`Cannot load the model in ${folder}`, [...problems.slice(0, shown), ...rest]);
}

function readable({ dtype, shape, begin, end, file }: PlacedTensor): PackedTensor {
  return {
    dtype,
    shape,
    async read() {
      const bytes = new Uint8Array(end - begin);
      await readFully(file, bytes, begin);
      return bytes;
    },
  };
}
