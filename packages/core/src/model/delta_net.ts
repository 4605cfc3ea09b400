/**
 * The gated delta net of one layer, which Qwen 3.5 has in place of attention in most of its layers, forward and hand-derived backward.
 * No query scores keys there, so prompts do not attach (spec/model-families.md §2.5).
 *
 *   [u | z] = W·norm(x)      g = W_g·norm(x)      o = gatedDelta(u, g)      x1 = x + W_o·(norm_B(o) ∘ silu(z))
 *
 * norm_B is over each value head. Shape suffixes: engine.ts; C channels of u, N value heads of B numbers, M = N·B.
 */
import { deltaWidths } from "../engine/delta_size.ts";
import type { DeltaSize, DeviceArray, Engine, KvCache } from "../engine/engine.ts";
import type { DeltaConfig } from "./config.ts";
import type { DecoderLayer, DecoderModel, DeltaNet } from "./decoder.ts";
import { normBackward, normForward } from "./norm.ts";
import type { LayerPast, Pass } from "./pass.ts";
import { isShared } from "./shared_attention.ts";
import { enter, enterBackward } from "./sublayer.ts";

/** What its backward needs. */
export interface SavedDelta {
  readonly x_TD: DeviceArray;
  readonly attnStats: DeviceArray | undefined;
  readonly x_TC: DeviceArray;
  readonly gates_T2N: DeviceArray;
  readonly o_TM: DeviceArray;
  readonly outStats: DeviceArray;
  /** z, and what norm_B gave, side by side. */
  readonly zAndOut: DeviceArray;
}

/** Columns of what its projections give. */
function columnsOf(config: DeltaConfig, T: number) {
  const { valueHeads: N, valueDim: B } = config;
  const { C, M } = deltaWidths(config);
  return { C, M, N, B, projected: { T, A: C, B: M, X: C + M }, gated: { T, A: M, B: M, X: 2 * M } };
}

/** Layer's x + delta(norm(x)). Takes over `x_TD`: it ends in `saved`. */
export function deltaForward(
  { engine, config }: DecoderModel,
  layer: DecoderLayer,
  delta: DeltaNet,
  x_TD: DeviceArray,
  pass: Pass,
  past?: LayerPast,
): { x1_TD: DeviceArray; saved: SavedDelta } {
  const { T } = pass.size;
  const { M, N, B, projected, gated } = columnsOf(delta.config, T);
  const size = { T, D: config.hiddenSize };
  const { h_TD, stats: attnStats } = enter(engine, x_TD, layer.attnNorm, size);
  const all = engine.linear(h_TD, layer.qkv, { T, order: pass.order });
  const gates_T2N = engine.linear(h_TD, delta.gates, { T, toRead: true, order: pass.order });
  if (h_TD !== x_TD) engine.free(h_TD);
  const { a_TA: x_TC, b_TB: z_TM } = engine.splitColumns(all, projected);
  const o_TM = deltaRule(engine, { x_TC, gates_T2N }, delta, pass, past);
  const { y_TD: normed_TM, stats: outStats } = normForward(engine, o_TM, delta.outNorm, { T: T * N, D: B });
  const zAndOut = engine.joinColumns(z_TM, normed_TM, gated);
  const y_TM = engine.swiglu(zAndOut, { T, F: M });
  const x1_TD = engine.linear(y_TM, layer.o, { T, residual: x_TD, order: pass.order });
  engine.free(all, z_TM, normed_TM, y_TM);
  return { x1_TD, saved: { x_TD, attnStats, x_TC, gates_T2N, o_TM, outStats, zAndOut } };
}

/** Gradient of its input, to which `residual_TD` is added. */
export function deltaBackward(
  { engine, config }: DecoderModel,
  layer: DecoderLayer,
  delta: DeltaNet,
  { dx1_TD, residual_TD }: { dx1_TD: DeviceArray; residual_TD: DeviceArray },
  saved: SavedDelta,
  pass: Pass,
): DeviceArray {
  const { T } = pass.size;
  const { M, N, B, projected, gated } = columnsOf(delta.config, T);
  const dy_TM = engine.linearBackward(dx1_TD, layer.o, { T });
  const dzAndOut = engine.swigluBackward(dy_TM, saved.zAndOut, { T, F: M });
  const { a_TA: dz_TM, b_TB: dnormed_TM } = engine.splitColumns(dzAndOut, gated);
  const ofNorm = { dy_TD: dnormed_TM, x_TD: saved.o_TM, stats: saved.outStats };
  const do_TM = normBackward(engine, ofNorm, delta.outNorm, { T: T * N, D: B });
  const { dx_TC, dgates_T2N } = deltaRuleBackward(engine, do_TM, saved, delta, pass);
  const dall = engine.joinColumns(dx_TC, dz_TM, projected);
  const dgated_TD = engine.linearBackward(dgates_T2N, delta.gates, { T });
  const dh_TD = engine.linearBackward(dall, layer.qkv, { T, residual: dgated_TD });
  const input = { x_TD: saved.x_TD, stats: saved.attnStats, residual_TD };
  const { dx_TD } = enterBackward(engine, dh_TD, input, layer.attnNorm, { T, D: config.hiddenSize });
  engine.free(dy_TM, dzAndOut, dz_TM, dnormed_TM, do_TM, dx_TC, dgates_T2N, dall, dgated_TD, dh_TD);
  return dx_TD;
}

/** Makes room for the state of one sequence. */
export function openDeltaState(engine: Engine, { config }: DeltaNet): KvCache {
  return abilities(engine).deltaState({ ...config, T: 1 });
}

type RuleInput = { readonly x_TC: DeviceArray; readonly gates_T2N: DeviceArray };

/** `gatedDelta`, of rows to rows: a pass that computes beginnings once has rows that several sequences share. */
function deltaRule(engine: Engine, input: RuleInput, delta: DeltaNet, pass: Pass, past?: LayerPast): DeviceArray {
  const { gatedDelta } = abilities(engine);
  const { cuSeqlens } = pass;
  const size: DeltaSize = { ...delta.config, T: pass.size.T };
  const of = past && { states: past.caches, starts: past.starts };
  if (!isShared(pass)) return gatedDelta(input, delta, cuSeqlens, size, of);
  const { C, M, N } = columnsOf(delta.config, size.T);
  const { rowOf_T, tokenOf_C } = pass.shared;
  const x_TC = engine.gatherRows(input.x_TC, rowOf_T, { T: size.T, D: C });
  const gates_T2N = engine.gatherRows(input.gates_T2N, rowOf_T, { T: size.T, D: 2 * N });
  const T = rowOf_T.length;
  const o_TM = gatedDelta({ x_TC, gates_T2N }, delta, cuSeqlens, { ...size, T });
  const rows_TM = engine.gatherRows(o_TM, tokenOf_C, { T, D: M });
  engine.free(x_TC, gates_T2N, o_TM);
  return rows_TM;
}

function deltaRuleBackward(
  engine: Engine,
  do_TM: DeviceArray,
  { x_TC, gates_T2N }: RuleInput,
  delta: DeltaNet,
  pass: Pass,
): { dx_TC: DeviceArray; dgates_T2N: DeviceArray } {
  const { gatedDeltaBackward } = abilities(engine);
  const { cuSeqlens } = pass;
  const size: DeltaSize = { ...delta.config, T: pass.size.T };
  if (!isShared(pass)) return gatedDeltaBackward({ do_TM, x_TC, gates_T2N }, delta, cuSeqlens, size);
  const { C, M, N } = columnsOf(delta.config, size.T);
  const { rowOf_T, tokenOf_C } = pass.shared;
  const T = rowOf_T.length;
  const ofTokens = {
    do_TM: engine.scatterRows(do_TM, tokenOf_C, { T, D: M }),
    x_TC: engine.gatherRows(x_TC, rowOf_T, { T: size.T, D: C }),
    gates_T2N: engine.gatherRows(gates_T2N, rowOf_T, { T: size.T, D: 2 * N }),
  };
  const made = gatedDeltaBackward(ofTokens, delta, cuSeqlens, { ...size, T });
  const dx_TC = engine.scatterRows(made.dx_TC, rowOf_T, { T: size.T, D: C });
  const dgates_T2N = engine.scatterRows(made.dgates_T2N, rowOf_T, { T: size.T, D: 2 * N });
  engine.free(ofTokens.do_TM, ofTokens.x_TC, ofTokens.gates_T2N, made.dx_TC, made.dgates_T2N);
  return { dx_TC, dgates_T2N };
}

type Abilities = Required<Pick<Engine, "gatedDelta" | "gatedDeltaBackward" | "deltaState">>;

/** `createModel` has refused an engine without them. */
function abilities({ name, gatedDelta, gatedDeltaBackward, deltaState }: Engine): Abilities {
  if (gatedDelta && gatedDeltaBackward && deltaState) return { gatedDelta, gatedDeltaBackward, deltaState };
  throw new RangeError(`Cannot compute a delta net on the engine ${name}: it has no gatedDelta`);
}
