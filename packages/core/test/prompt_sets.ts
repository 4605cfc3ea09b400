/** Several prompt sets and loss cells in one call: each has the bits that it has in a call of its own, on any engine. */
import { describe, expect, test } from "vitest";
import type { AttentionSize, DeviceArray, Engine, PromptSet, RowRange } from "../src/engine/engine.ts";
import { expectClose, expectSameBits, single, wave } from "./numeric.ts";

const [H, G, d] = [4, 2, 32];
const [X, Q, Y] = [(H + 2 * G) * d, H * d, 2 * G * d];

/** Prompt lengths and token ranges; 700 tokens are more than one job of a blocked kernel takes, sets of one prompt are images. */
const layouts: readonly { readonly T: number; readonly sets: readonly (readonly [K: number, tokens: RowRange])[] }[] = [
  {
    T: 9,
    sets: [
      [3, [0, 4]],
      [1, [4, 5]],
      [5, [7, 9]],
    ],
  },
  {
    T: 700,
    sets: [
      [10, [0, 300]],
      [2, [300, 300]],
      [17, [310, 650]],
      [4, [651, 700]],
    ],
  },
  {
    T: 40,
    sets: [
      [1, [0, 7]],
      [1, [7, 7]],
      [1, [9, 30]],
      [1, [30, 40]],
    ],
  },
];

/** @param tolerance of gradients, relative to the largest: 0 asks for the same bits. */
export function describePromptSets(name: string, open: () => Engine | Promise<Engine>, tolerance: number): void {
  const values = (length: number, phase: number) => single(wave(length, phase));
  /** Sets over one array of rows; the last set has the rows of the first at other gates. */
  const setsOf = (kv_RY: DeviceArray, { sets }: (typeof layouts)[number]): PromptSet[] => {
    let first = 0;
    const own = sets.map(([K, tokens], n): PromptSet => {
      const rows = [first, (first += K)] as const;
      const gate_H = values(H, n).map((gate, h) => (h === 1 && n === 0 ? 0 : gate));
      return { kv_RY, rows, tokens, gate_H };
    });
    return own.map((set, n) => (n === own.length - 1 ? { ...set, rows: own[0].rows } : set));
  };
  const R = (layout: (typeof layouts)[number]) => layout.sets.reduce((sum, [K]) => sum + K, 0);
  const sizeOf = (T: number): AttentionSize => ({ T, H, G, d, window: 0 });
  const expectSame = (ours: Float32Array, right: Float32Array, what: string) =>
    tolerance === 0
      ? expectSameBits(ours, Float64Array.from(right), 0, what)
      : expectClose(ours, Float64Array.from(right), tolerance, what);

  describe.each(layouts)(`engine ${name}, prompt sets over $T tokens`, (layout) => {
    const { T } = layout;
    const upload = (engine: Engine) => {
      const [o_TQ, do_TQ] = [engine.upload(values(T * Q, 0.3)), engine.upload(values(T * Q, 1.9))];
      const [qkv_TX, kv_RY] = [engine.upload(values(T * X, 0.7)), engine.upload(values(R(layout) * Y, 2.2))];
      return { o_TQ, do_TQ, qkv_TX, sets: setsOf(kv_RY, layout) };
    };

    test("forward is that of one call after the other, tokens of no set keep their bits", async () => {
      const engine = await open();
      await engine.arena(async () => {
        const { o_TQ, qkv_TX, sets } = upload(engine);
        const y = await engine.read(engine.promptAttention(o_TQ, { qkv_TX, sets }, sizeOf(T)));
        const before = values(T * Q, 0.3);
        const expected = before.slice();
        for (const [n, set] of sets.entries()) {
          const alone = await engine.read(engine.promptAttention(o_TQ, { qkv_TX, sets: [set] }, sizeOf(T)));
          const [from, to] = set.tokens.map((t) => t * Q);
          expected.set(alone.subarray(from, to), from);
          const isAdded = alone.subarray(from, to).some((value, at) => value !== before[from + at]);
          expect(isAdded, `set ${n} adds something to its tokens`).toBe(to > from);
        }
        expectSameBits(y, Float64Array.from(expected), 0, "y");
      });
    });

    test("the gradients of a set are those of a call with its tokens alone", async () => {
      const engine = await open();
      await engine.arena(async () => {
        const { do_TQ, qkv_TX, sets } = upload(engine);
        const dqkv_TX = engine.upload(new Float32Array(T * X));
        const together = engine.promptAttentionBackward({ do_TQ, qkv_TX, sets, dqkv_TX }, sizeOf(T));
        expect(together).toHaveLength(sets.length);
        const dqkv = await engine.read(dqkv_TX);
        const expected = new Float32Array(T * X);
        for (const [
          n,
          {
            tokens: [from, to],
            ...set
          },
        ] of sets.entries()) {
          const part = (length: number, phase: number) =>
            engine.upload(values(T * length, phase).slice(from * length, to * length));
          const own = {
            do_TQ: part(Q, 1.9),
            qkv_TX: part(X, 0.7),
            dqkv_TX: engine.upload(new Float32Array((to - from) * X)),
          };
          const input = { ...own, sets: [{ ...set, tokens: [0, to - from] as const }] };
          const [alone] = engine.promptAttentionBackward(input, sizeOf(to - from));
          expectSame(await engine.read(together[n].dkv_KY), await engine.read(alone.dkv_KY), `dkv of set ${n}`);
          expectSame(await engine.read(together[n].dgate_H), await engine.read(alone.dgate_H), `dgate of set ${n}`);
          expected.set(await engine.read(own.dqkv_TX), from * X);
        }
        expectSame(dqkv, expected, "dqkv");
      });
    });
  });

  describe(`engine ${name}`, () => {
    test("one prompt with a key of zeros adds its value times the gate, and heads without a gate keep their bits", async () => {
      const engine = await open();
      await engine.arena(async () => {
        const T = 6;
        const [o, kv] = [values(T * Q, 0.3), values(2 * Y, 2.2)];
        for (const row of [0, 1]) kv.fill(0, row * Y, row * Y + G * d);
        const gate_H = values(H, 1).fill(0, 2, 3);
        const set = { kv_RY: engine.upload(kv), rows: [1, 2], tokens: [1, 5], gate_H } as const;
        const input = { qkv_TX: engine.upload(values(T * X, 0.7)), sets: [set] };
        const y = await engine.read(engine.promptAttention(engine.upload(o), input, sizeOf(T)));
        const valueOf = (h: number, i: number) => kv[Y + (G + Math.floor((h * G) / H)) * d + i];
        const expected = Float64Array.from(o, (past, at) => {
          const [t, h, i] = [Math.floor(at / Q), Math.floor(at / d) % H, at % d];
          return t >= 1 && t < 5 ? past + gate_H[h] * valueOf(h, i) : past;
        });
        expectClose(y, expected, Math.max(tolerance, 1e-6), "y");
        for (let t = 0; t < T; t++) {
          const head = [t * Q + 2 * d, t * Q + 3 * d] as const;
          expectSameBits(y.slice(...head), Float64Array.from(o.slice(...head)), 0, "a closed head");
        }
      });
    });

    test("no set is no change; sets that overlap, tokens and rows that are not there, gates too few are refused", async () => {
      const engine = await open();
      await engine.arena(async () => {
        const { o_TQ, do_TQ, qkv_TX, sets } = upload(engine);
        const [set] = sets;
        const size = sizeOf(T);
        const add = (changed: readonly PromptSet[]) => engine.promptAttention(o_TQ, { qkv_TX, sets: changed }, size);
        expectSameBits(await engine.read(add([])), Float64Array.from(values(T * Q, 0.3)), 0, "no set");
        expect(engine.promptAttentionBackward({ do_TQ, qkv_TX, sets: [] }, size)).toEqual([]);
        const wrong: readonly [string, PromptSet[]][] = [
          [`tokens 0 to ${T + 1} are asked for, there are ${T}`, [{ ...set, tokens: [0, T + 1] }]],
          ["tokens 3 to 2 are asked for", [{ ...set, tokens: [3, 2] }]],
          [
            "a set begins at token 3, the one before it ends at 4",
            [
              { ...set, tokens: [0, 4] },
              { ...set, tokens: [3, 5] },
            ],
          ],
          ["rows 0 to 10 are asked for, there are 9", [{ ...set, rows: [0, 10] }]],
          ["rows 2 to 2 are asked for", [{ ...set, rows: [2, 2] }]],
          ["a set has 3 gates, the layer has 4 query heads", [{ ...set, gate_H: new Float32Array(3) }]],
        ];
        for (const [message, changed] of wrong) {
          expect(() => add(changed), message).toThrow(message);
          expect(() => engine.promptAttentionBackward({ do_TQ, qkv_TX, sets: changed }, size), message).toThrow(
            message,
          );
        }
      });
    });
    const { T } = layouts[0];
    const upload = (engine: Engine) => ({
      o_TQ: engine.upload(values(T * Q, 0.3)),
      do_TQ: engine.upload(values(T * Q, 1.9)),
      qkv_TX: engine.upload(values(T * X, 0.7)),
      sets: setsOf(engine.upload(values(R(layouts[0]) * Y, 2.2)), layouts[0]),
    });

    test.each(["packed", "alone"] as const)(
      "rows in the order %s have the same bits among any number of others",
      async (order) => {
        const engine = await open();
        await engine.arena(async () => {
          const [rows, N, K] = [21, 37, 64];
          const weight = engine.matrix({
            dtype: "f32",
            shape: [N, K],
            bytes: new Uint8Array(values(N * K, 0.9).buffer),
          });
          const x = values(rows * K, 1.2);
          const all = await engine.read(engine.linear(engine.upload(x), weight, { T: rows, order }));
          for (const few of [1, 2, 4, 5, 20]) {
            const some = engine.upload(x.slice(0, few * K));
            const y = await engine.read(engine.linear(some, weight, { T: few, order }));
            expectSame(y, all.slice(0, few * N), `${few} rows`);
          }
        });
      },
    );

    test("a cell's labelled tokens have the bits of their own call, and gradients of their own scale", async () => {
      const engine = await open();
      await engine.arena(async () => {
        const [D, V, counts] = [24, 50, [3, 0, 40, 1]] as const;
        const rows = counts.reduce((a: number, b) => a + b, 0);
        const head = engine.matrix({ dtype: "f32", shape: [V, D], bytes: new Uint8Array(values(V * D, 0.9).buffer) });
        const y = values(rows * D, 1.5);
        const labels = Int32Array.from({ length: rows }, (_, r) => (7 * r) % V);
        const cells = counts.map((count, n) => ({ R: count, scale: 1 / (n + 2) }));
        const all = engine.headLoss(engine.upload(y), head, labels, { R: rows, D, cells });
        const [nll, hit, dy] = await Promise.all(
          [all.nll_R, all.hit_R, all.dy_RD ?? all.nll_R].map((a) => engine.read(a)),
        );
        let at = 0;
        for (const [n, cell] of cells.entries()) {
          const end = at + cell.R;
          const own = engine.upload(y.slice(at * D, end * D));
          const alone = engine.headLoss(own, head, labels.slice(at, end), { R: cell.R, D, cells: [cell] });
          expectSame(nll.slice(at, end), await engine.read(alone.nll_R), `nll of cell ${n}`);
          expectSame(hit.slice(at, end), await engine.read(alone.hit_R), `hits of cell ${n}`);
          expectSame(dy.slice(at * D, end * D), await engine.read(alone.dy_RD ?? alone.nll_R), `dy of cell ${n}`);
          at = end;
        }
        const short = [{ R: rows - 1, scale: 1 }];
        expect(() => engine.headLoss(engine.upload(y), head, labels, { R: rows, D, cells: short })).toThrow(
          `its cells have ${rows - 1} rows, there are ${rows}`,
        );
      });
    });
  });
}
