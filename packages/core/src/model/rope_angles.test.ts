import { expect, test } from "vitest";
import type { HostTensor } from "../engine/engine.ts";
import { createReferenceEngine } from "../engine/reference.ts";
import { jsonFields } from "../formats/json_fields.ts";
import type { RopeScaling } from "./config.ts";
import { parseRope } from "./hf_rope.ts";
import { angleTable, outgrowsCache, ropeAngles, ropeFrequencies } from "./rope_angles.ts";

const config = { headDim: 16, ropeTheta: 1e4, contextLength: 2048, ropeScaling: { type: "default" } as RopeScaling };
const yarn = { type: "yarn", factor: 4, originalContext: 512, betaFast: 32, betaSlow: 1, truncate: true } as const;

/** From transformers 5.18 with torch 2.13: test/make_rope_values.py. */
const transformers: [name: string, scaling: RopeScaling, length: number, factor: number, frequencies: number[]][] = [
  [
    "linear",
    { type: "linear", factor: 4 },
    0,
    1,
    [
      0.25, 0.07905694097280502, 0.02500000037252903, 0.007905694656074047, 0.0024999999441206455,
      0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-5,
    ],
  ],
  [
    "dynamic, below the context",
    { type: "dynamic", factor: 2, originalContext: 2048 },
    100,
    1,
    [
      1, 0.3162277638912201, 0.10000000149011612, 0.03162277862429619, 0.009999999776482582, 0.003162277862429619,
      0.0010000000474974513, 0.0003162277862429619,
    ],
  ],
  [
    "dynamic, above the context",
    { type: "dynamic", factor: 2, originalContext: 2048 },
    3000,
    1,
    [
      1, 0.28788307309150696, 0.08287666738033295, 0.02385879121720791, 0.006868542637676001, 0.001977337058633566,
      0.0005692418781109154, 0.00016387512732762843,
    ],
  ],
  [
    "llama3",
    { type: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 64 },
    0,
    1,
    [
      1, 0.24438458681106567, 0.013042256236076355, 0.0039528473280370235, 0.0012499999720603228,
      0.00039528473280370235, 0.0001250000059371814, 3.9528473280370235e-5,
    ],
  ],
  [
    "yarn",
    { ...yarn, attentionFactor: 1.138629436111989 },
    0,
    1.138629436111989,
    [
      1, 0.2569350600242615, 0.0625, 0.013834965415298939, 0.0024999999441206455, 0.0007905694656074047,
      0.0002500000118743628, 7.905694656074047e-5,
    ],
  ],
  [
    "yarn without truncation",
    { ...yarn, betaFast: 16, betaSlow: 2, truncate: false, attentionFactor: 1.138629436111989 },
    0,
    1.138629436111989,
    [
      1, 0.3162277638912201, 0.07566440105438232, 0.010796109214425087, 0.0024999999441206455, 0.0007905694656074047,
      0.0002500000118743628, 7.905694656074047e-5,
    ],
  ],
];

test.each(transformers)(
  "%s: inverse frequencies and attention factor are transformers'",
  (_, ropeScaling, length, factor, expected) => {
    const { frequencies, attentionFactor } = ropeFrequencies({ ...config, ropeScaling }, length);
    expect(attentionFactor).toBe(factor);
    expect(frequencies).toHaveLength(expected.length);
    // torch computes the powers in float32, we in float64: half a unit in the last place each way.
    for (const [i, f] of expected.entries()) expect(Math.abs(frequencies[i] / f - 1)).toBeLessThan(2.5e-7);
  },
);

test("longrope divides by the short factors up to the first context and by the long ones beyond, as transformers", () => {
  const longrope = {
    headDim: 16,
    rotaryDim: 12,
    ropeTheta: 1e4,
    contextLength: 2048,
    ropeScaling: {
      type: "longrope",
      shortFactors: [1, 1.05, 1.1, 1.3, 1.5, 1.75],
      longFactors: [1, 1.5, 2, 4, 8, 16],
      originalContext: 512,
      attentionFactor: 1.1055415967851334,
    },
  } as const;
  const short = [
    1, 0.20518426597118378, 0.04219625517725945, 0.007692307699471712, 0.0014362895162776113, 0.00026523368433117867,
  ];
  const long = [
    1, 0.14362896978855133, 0.02320794202387333, 0.0024999999441206455, 0.0002693042915780097, 2.9009934223722667e-5,
  ];
  for (const [length, expected] of [
    [512, short],
    [513, long],
  ] as const) {
    const { frequencies } = ropeFrequencies(longrope, length);
    expect(frequencies).toHaveLength(6);
    for (const [i, f] of expected.entries()) expect(Math.abs(frequencies[i] / f - 1)).toBeLessThan(2.5e-7);
  }
  expect([outgrowsCache(longrope, 512, 513), outgrowsCache(longrope, 511, 512)]).toEqual([true, false]);
  expect(
    [outgrowsCache(longrope, 0, 513), outgrowsCache(longrope, 513, 514)],
    "nothing cached is of another kind",
  ).toEqual([false, false]);
});

test("what does not rotate is turned by 0, behind what does in each half", () => {
  const cosSin = ropeAngles({ ...config, headDim: 8, rotaryDim: 4 }, Int32Array.of(3), Int32Array.of(0, 1));
  const expected = [Math.cos(3), Math.cos(0.03), 1, 1, Math.sin(3), Math.sin(0.03), 0, 0];
  for (const [i, x] of expected.entries()) expect(cosSin[i]).toBeCloseTo(x, 6);
});

test.each([
  [{}, 1.138629436111989],
  [{ mscale: 1, mscale_all_dim: 0.707 }, 1.036992729910394],
  [{ mscale: 1 }, 1.138629436111989],
  [{ attention_factor: 0.5, mscale: 1, mscale_all_dim: 0.707 }, 0.5],
])("yarn's attention factor from a config with %j is transformers'", (changes, expected) => {
  const rope = { rope_type: "yarn", rope_theta: 1e4, factor: 4, original_max_position_embeddings: 512, ...changes };
  const problems: string[] = [];
  const reading = { fields: jsonFields({ rope_parameters: rope }, problems), problems, unused: [] };
  const { ropeScaling } = parseRope(reading, { contextLength: 2048, headDim: 16 }, { ropeTheta: 1e4 });
  expect(problems).toEqual([]);
  const { attentionFactor } = ropeFrequencies({ ...config, ropeScaling }, 0);
  expect(attentionFactor).toBeCloseTo(expected, 14);
});

test("d/2 cosines and d/2 sines per token, at the position that it has", () => {
  const cosSin = ropeAngles({ ...config, headDim: 4 }, Int32Array.of(0, 3, 100), Int32Array.of(0, 3));
  const expected = [0, 3, 100].flatMap((p) => [Math.cos(p), Math.cos(p / 100), Math.sin(p), Math.sin(p / 100)]);
  for (const [i, x] of expected.entries()) expect(cosSin[i]).toBeCloseTo(x, 6);
});

test("yarn's attention factor multiplies cosines and sines", () => {
  const scaling = { ...yarn, attentionFactor: 1.5 };
  const [plain, scaled] = [1, 1.5].map((attentionFactor) =>
    ropeAngles({ ...config, ropeScaling: { ...scaling, attentionFactor } }, Int32Array.of(5), Int32Array.of(0, 1)),
  );
  for (const [i, x] of plain.entries()) expect(scaled[i]).toBeCloseTo(1.5 * x, 6);
});

test("yarn's ramp ends at the last dimension at most, and begins at the first at least", () => {
  // With d = 4 and theta = 10, one turn in 10,000 tokens lies at dimension 6.4 and 10,000 turns at -1.6: the ramp goes from 0 to 3.
  const ropeScaling = {
    type: "yarn",
    factor: 4,
    originalContext: 10_000,
    betaFast: 10_000,
    betaSlow: 1,
    attentionFactor: 1,
    truncate: true,
  } as const;
  const { frequencies } = ropeFrequencies({ headDim: 4, ropeTheta: 10, contextLength: 40_000, ropeScaling }, 1);
  const f = 1 / Math.sqrt(10);
  expect(frequencies[0]).toBeCloseTo(1, 6);
  expect(frequencies[1]).toBeCloseTo((f / 4) * (1 / 3) + f * (2 / 3), 6);
});

test("dynamic scaling goes by the length of each sequence, not of the cell", () => {
  const stretched = {
    headDim: 4,
    ropeTheta: 1e4,
    contextLength: 4,
    ropeScaling: { type: "dynamic", factor: 2, originalContext: 4 },
  } as const;
  const short = [0, 1, 2];
  const long = [0, 1, 2, 3, 4, 5];
  const positions = Int32Array.from([...short, ...long]);
  const cosSin = ropeAngles(stretched, positions, Int32Array.of(0, 3, 9));
  const plain = ropeAngles({ ...stretched, ropeScaling: { type: "default" } }, positions, Int32Array.of(0, 3, 9));
  expect(cosSin.subarray(0, 12)).toEqual(plain.subarray(0, 12));
  expect(cosSin.subarray(12 + 4)).not.toEqual(plain.subarray(12 + 4));
  expect(cosSin.subarray(12)).toEqual(ropeAngles(stretched, Int32Array.from(long), Int32Array.of(0, 6)));
});

test("a table has the angles of every position in its rows, grows for later ones, and is none if lengths decide", () => {
  const engine = createReferenceEngine();
  const made: HostTensor[] = [];
  const matrix = (tensor: HostTensor) => {
    made.push(tensor);
    return engine.matrix(tensor);
  };
  const table = angleTable({ matrix }, config);
  const sizes = [[3, 511, 0], [512], [7], [5000]].map((positions) => table?.(Int32Array.from(positions)).rows);
  expect(sizes).toEqual([512, 1024, 1024, 8192]);
  expect(made.map(({ shape }) => shape)).toEqual([512, 1024, 8192].map((rows) => [rows, 16]));
  const last = new Float32Array(made[2].bytes.buffer);
  for (const position of [0, 511, 5000, 8191]) {
    const alone = ropeAngles(config, Int32Array.of(position), Int32Array.of(0, 1));
    expect(last.subarray(16 * position, 16 * position + 16)).toEqual(alone);
  }
  expect(
    angleTable(engine, { ...config, ropeScaling: { type: "dynamic", factor: 2, originalContext: 2048 } }),
  ).toBeUndefined();
});
