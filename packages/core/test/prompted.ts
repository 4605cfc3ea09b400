/** Attention and prompts at once, for engines that have it, against the reference engine doing one after the other. */
import { describe, expect, test } from "vitest";
import type { AttentionSize, DeviceArray, Engine, PromptSet, RowRange } from "../src/engine/engine.ts";
import { createReferenceEngine } from "../src/engine/reference.ts";
import { narrow, widen } from "../src/formats/dtype.ts";
import { expectClose, single, wave } from "./numeric.ts";

export interface PromptedCase {
  readonly lengths: readonly number[];
  readonly H: number;
  readonly G: number;
  readonly d: number;
  readonly window: number;
  readonly K: number;
}

/** What bf16 holds of it, so that only the arithmetic differs. */
function rounded(length: number, phase: number): Float32Array {
  const out = new Float32Array(length);
  widen("bf16", narrow(single(wave(length, phase)), "bf16"), out);
  return out;
}

/** @param tolerances relative to the largest number: of what is added up, and of gradients. */
export function describePrompted(
  name: string,
  open: () => Engine | Promise<Engine>,
  cases: readonly PromptedCase[],
  tolerances: { readonly forward: number; readonly backward: number },
): void {
  describe.each(cases)(`engine ${name}, K=$K prompts with H=$H G=$G d=$d window=$window, lengths $lengths`, (one) => {
    const { lengths, K, ...heads } = one;
    const { H, G, d } = heads;
    const T = lengths.reduce((a, b) => a + b);
    const size: AttentionSize = { ...heads, T };
    const cuSeqlens = Int32Array.from([0, ...lengths.map((_, s) => lengths.slice(0, s + 1).reduce((a, b) => a + b))]);
    const gate_H = Float32Array.from({ length: H }, (_, h) => [0.75, -1.5, 2.25][h % 3]);
    const upload = (engine: Engine, gates: Float32Array = gate_H, tokens: RowRange = [0, T]) => {
      // Uneven enough that no prompt gets all of a token.
      const kv_RY = engine.upload(rounded(K * 2 * G * d, 1.3));
      const sets: PromptSet[] = [{ kv_RY, rows: [0, K], tokens, gate_H: gates }];
      return { qkv_TX: engine.upload(rounded(T * (H + 2 * G) * d, 0.4)), sets };
    };

    const atOnce = (engine: Engine, input: ReturnType<typeof upload>) => {
      const result = engine.promptedAttention?.(input, cuSeqlens, size);
      if (!result) throw new Error(`${name} has no attention with prompts for such sizes`);
      return result;
    };
    const backward = (
      engine: Engine,
      input: Parameters<NonNullable<Engine["promptedAttentionBackward"]>>[0],
      withInput: boolean,
    ) => {
      const result = engine.promptedAttentionBackward?.(input, cuSeqlens, { ...size, withInput });
      if (!result) throw new Error(`${name} has no backward of attention with prompts`);
      return result;
    };
    const read = (engine: Engine, arrays: Record<string, DeviceArray>) =>
      Promise.all(Object.entries(arrays).map(async ([key, array]) => [key, await engine.read(array)] as const));

    test("forward and backward are those of both, one after the other", async () => {
      const engine = await open();
      const ours = await engine.arena(() => {
        const input = upload(engine);
        const { y_TQ, lse_TH } = atOnce(engine, input);
        const do_TQ = engine.upload(rounded(T * H * d, 2.5));
        const { dqkv_TX, prompts } = backward(engine, { do_TQ, ...input, y_TQ, lse_TH }, true);
        if (!dqkv_TX) throw new Error("the gradient of the input is missing");
        return read(engine, { y_TQ, lse_TH, dqkv_TX, ...prompts[0] });
      });
      const plain = createReferenceEngine();
      const right = await plain.arena(() => {
        const input = upload(plain);
        const { o_TQ, lse_TH } = plain.attention(input.qkv_TX, cuSeqlens, size);
        const y_TQ = plain.promptAttention(o_TQ, input, size);
        const do_TQ = plain.upload(rounded(T * H * d, 2.5));
        const dqkv_TX = plain.attentionBackward({ do_TQ, ...input, o_TQ, lse_TH }, cuSeqlens, size);
        const [prompts] = plain.promptAttentionBackward({ do_TQ, ...input, dqkv_TX }, size);
        return read(plain, { y_TQ, lse_TH, dqkv_TX, ...prompts });
      });
      for (const [i, [key, values]] of right.entries()) {
        const tolerance = key.startsWith("d") ? tolerances.backward : tolerances.forward;
        expectClose(ours[i][1], Float64Array.from(values), tolerance, key);
      }
    });

    test("closed gates and tokens outside of the range keep every bit of attention alone", async () => {
      const engine = await open();
      await engine.arena(async () => {
        const input = upload(engine);
        const base = await engine.read(engine.attention(input.qkv_TX, cuSeqlens, size).o_TQ);
        const all = await engine.read(atOnce(engine, input).y_TQ);
        const closed = gate_H.map((gate, h) => (h % 2 === 0 ? 0 : gate));
        const some = await engine.read(atOnce(engine, upload(engine, closed)).y_TQ);
        const bits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);
        const pick = (choose: (t: number, h: number) => boolean) =>
          all.map((y, i) => (choose(Math.floor(i / (H * d)), Math.floor(i / d) % H) ? y : base[i]));
        expect(bits(some)).toEqual(bits(pick((_, h) => closed[h] !== 0)));
        for (const [from, to] of [
          [0, 0],
          [0, 1],
          [T >> 1, T],
          [T >> 2, (3 * T) >> 2],
        ] as const) {
          const part = await engine.read(atOnce(engine, upload(engine, gate_H, [from, to])).y_TQ);
          expect(bits(part), `tokens ${from} to ${to}`).toEqual(bits(pick((t) => t >= from && t < to)));
        }
      });
    });

    test("closed gates have a gradient, their prompts none; without the input's gradient the others are the same", async () => {
      const engine = await open();
      await engine.arena(async () => {
        const of = async (gates: Float32Array, withInput: boolean) => {
          const input = upload(engine, gates);
          const { y_TQ, lse_TH } = atOnce(engine, input);
          const do_TQ = engine.upload(rounded(T * H * d, 2.5));
          const back = backward(engine, { do_TQ, ...input, y_TQ, lse_TH }, withInput);
          expect(back.dqkv_TX !== undefined).toBe(withInput);
          const [{ dkv_KY, dgate_H }] = back.prompts;
          return { dkv: await engine.read(dkv_KY), dgate: await engine.read(dgate_H) };
        };
        const open_H = await of(gate_H, true);
        expect(await of(gate_H, false)).toEqual(open_H);
        const closed = await of(new Float32Array(H), false);
        expect(closed.dkv.every((x) => x === 0)).toBe(true);
        expect(closed.dgate).toEqual(open_H.dgate);
      });
    });

    test("a set for each sequence gives each the bits and gradients of a pass of its own", async () => {
      const engine = await open();
      await engine.arena(async () => {
        const [qkv, dO] = [rounded(T * (H + 2 * G) * d, 0.4), rounded(T * H * d, 2.5)];
        const kv = rounded((K + lengths.length) * 2 * G * d, 1.3);
        const setOf = (s: number, tokens: RowRange): PromptSet => ({
          kv_RY: engine.upload(kv),
          rows: [s, s + K],
          tokens,
          gate_H: gate_H.map((gate) => gate * (s + 1)),
        });
        const of = async (from: number, to: number, sets: PromptSet[]) => {
          const [X, Q, own] = [(H + 2 * G) * d, H * d, { ...size, T: to - from }];
          const cu = cuSeqlens.filter((t) => t >= from && t <= to).map((t) => t - from);
          const input = { qkv_TX: engine.upload(qkv.slice(from * X, to * X)), sets };
          const both = engine.promptedAttention?.(input, cu, own);
          const do_TQ = engine.upload(dO.slice(from * Q, to * Q));
          const back =
            both && engine.promptedAttentionBackward?.({ do_TQ, ...input, ...both }, cu, { ...own, withInput: true });
          if (!both || !back?.dqkv_TX) throw new Error(`${name} has no attention with such sets`);
          return {
            y: await engine.read(both.y_TQ),
            dqkv: await engine.read(back.dqkv_TX),
            prompts: await Promise.all(
              back.prompts.map(({ dkv_KY, dgate_H }) => Promise.all([dkv_KY, dgate_H].map((a) => engine.read(a)))),
            ),
          };
        };
        const bounds = lengths.map((_, s) => [cuSeqlens[s], cuSeqlens[s + 1]] as const);
        const together = await of(
          0,
          T,
          bounds.map((tokens, s) => setOf(s, tokens)),
        );
        for (const [s, [from, to]] of bounds.entries()) {
          const alone = await of(from, to, [setOf(s, [0, to - from])]);
          expect(together.y.slice(from * H * d, to * H * d), `sequence ${s}`).toEqual(alone.y);
          expect(together.dqkv.slice(from * (H + 2 * G) * d, to * (H + 2 * G) * d), `sequence ${s}`).toEqual(
            alone.dqkv,
          );
          expect(together.prompts[s], `prompts of sequence ${s}`).toEqual(alone.prompts[0]);
        }
      });
    });
  });
}
