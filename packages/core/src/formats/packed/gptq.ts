/**
 * GPTQ, layouts `gptq` (zero points are stored less one) and `gptq_v2`, 2, 4 and 8 bits:
 *
 *   qweight I32 [in · bits / 32, out]   codes of inputs, the first in the lowest bits
 *   qzeros  I32 [groups, out · bits / 32], scales [groups, out], g_idx I32 [in]
 *   w[n, k] = (code − zero) · scale, in the dtype of the scales
 *
 * Read from AutoGPTQ 0.7.1 (`nn_modules/qlinear/qlinear_cuda_old.py`: forward, pack) and GPTQModel 7 (`nn_modules/qlinear/__init__.py`,
 * `utils/model.py`: convert_gptq_v1_to_v2_format). A stored zero point of 2^bits − 1 is read as 0 by the one and carried into its
 * neighbour by the other: such a map is refused. 3 bits lie across words, in ways that differ: they are refused by the config.
 */
import { columnDecoder, integers, unpackWords } from "./columns.ts";
import {
  expectTensor,
  floatDTypes,
  floatsOf,
  integersOf,
  type PackedMap,
  type Packing,
  PackingError,
  required,
  scaleDType,
} from "./packing.ts";

/** What a `quantization_config` says of it. */
export interface GptqSettings {
  readonly bits: 2 | 4 | 8;
  /** Inputs that share scales; undefined: all. */
  readonly groupSize: number | undefined;
  /** Whether zero points are stored less one. */
  readonly isFirstVersion: boolean;
}

export function gptq({ bits, groupSize, isFirstVersion }: GptqSettings): Packing {
  const perWord = 32 / bits;
  const name = `GPTQ ${bits} bits`;
  return {
    name,
    codes: "qweight",
    mark: "qzeros",
    sides: ["qzeros", "scales", "g_idx"],
    async unpack(map: PackedMap) {
      const { codes } = map;
      const [zeros, scales, index] = [required(map, "qzeros"), required(map, "scales"), map.side("g_idx")];
      const [words = 0, outputs = 0] = codes.shape;
      const inputs = words * perWord;
      const groups = groupSize === undefined ? 1 : Math.ceil(inputs / groupSize);
      expectTensor("qweight", codes, ["I32"], [words, outputs]);
      expectTensor("qzeros", zeros, ["I32"], [groups, outputs / perWord]);
      expectTensor("scales", scales, floatDTypes, [groups, outputs]);
      if (index) expectTensor("g_idx", index, ["I32", "I64"], [inputs]);
      const layout = {
        inputs,
        outputs,
        bits,
        wordOf: integers(inputs, (k) => Math.floor(k / perWord) * outputs),
        shiftOf: integers(inputs, (k) => bits * (k % perWord)),
        wordFor: integers(outputs, (n) => n),
        shiftFor: new Int32Array(outputs),
      };
      const decoder = columnDecoder(name, layout, async () => {
        const group = index ? await integersOf(index) : integers(inputs, (k) => Math.floor(k / (groupSize ?? inputs)));
        if (group.some((one) => one < 0 || one >= groups))
          throw new PackingError(`g_idx names a group beyond the ${groups} there are`);
        const stored = unpackWords(await integersOf(zeros), bits);
        if (isFirstVersion && stored.includes(2 ** bits - 1)) {
          throw new PackingError(
            `qzeros holds ${2 ** bits - 1}, which tools read in different ways: use a file of the layout gptq_v2`,
          );
        }
        return {
          scales: await floatsOf(scales),
          zeros: isFirstVersion ? stored.map((zero) => zero + 1) : stored,
          group,
        };
      });
      return { shape: [outputs, inputs], dtype: scaleDType(scales), decoder };
    },
  };
}
