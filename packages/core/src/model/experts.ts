/**
 * An MLP of experts (Mixtral, arXiv:2401.04088 §2.1): y_t = Σ_e w_te · down_e(silu(gate_e·h_t) ∘ up_e·h_t) over the experts that the
 * frozen router chooses for token t, added up in ascending order. A row has the same bits whatever else is routed in the pass.
 *
 * Matrices of all experts are stacked: rows of `gateUp` are gate and up of expert 0, then of expert 1, … P pairs: routing.ts.
 */
import type { DeviceArray, Engine, Matrix } from "../engine/engine.ts";
import type { ExpertsConfig } from "./config.ts";
import { type Routing, route, routeBackward } from "./routing.ts";

/** The frozen weights of one layer's experts. */
export interface ExpertWeights {
  /** `[E, D]`. */
  readonly router: Matrix;
  /** `[E·2F, D]`. */
  readonly gateUp: Matrix;
  /** `[E·D, F]`. */
  readonly down: Matrix;
}

/** What backward needs. */
export interface SavedExperts {
  readonly routing: Routing;
  readonly weight_P: DeviceArray;
  readonly gateUp_P2F: DeviceArray;
}

/** Sum over the experts of each token of `h_TD`. */
export function expertsForward(
  engine: Engine,
  { router, gateUp, down }: ExpertWeights,
  h_TD: DeviceArray,
  { T, D }: { T: number; D: number },
  config: ExpertsConfig,
): { y_TD: DeviceArray; saved: SavedExperts } {
  const { readNow, groupedLinear } = abilities(engine);
  const z_TE = engine.linear(h_TD, router, { T, toRead: true, order: "packed" });
  const routing = route(readNow(z_TE), config);
  const { tokenOf_P, bounds } = routing;
  const size = { T: tokenOf_P.length, F: config.intermediateSize };
  const weight_P = engine.upload(routing.weight_P);
  const h_PD = engine.gatherRows(h_TD, tokenOf_P, { T, D });
  const gateUp_P2F = groupedLinear(h_PD, gateUp, bounds);
  const s_PF = engine.swiglu(gateUp_P2F, size);
  const weighted_PF = engine.scaleRows(s_PF, weight_P, { T: size.T, D: size.F });
  const out_PD = groupedLinear(weighted_PF, down, bounds);
  const y_TD = engine.scatterRows(out_PD, tokenOf_P, { T, D });
  engine.free(z_TE, h_PD, s_PF, weighted_PF, out_PD);
  return { y_TD, saved: { routing, weight_P, gateUp_P2F } };
}

/** Gradient of `h_TD`: through the experts, and through their weights into the router. */
export function expertsBackward(
  engine: Engine,
  { router, gateUp, down }: ExpertWeights,
  dy_TD: DeviceArray,
  { routing, weight_P, gateUp_P2F }: SavedExperts,
  { T, D }: { T: number; D: number },
  config: ExpertsConfig,
): DeviceArray {
  const { readNow, groupedLinearBackward } = abilities(engine);
  const { tokenOf_P, bounds } = routing;
  const size = { T: tokenOf_P.length, F: config.intermediateSize };
  const dout_PD = engine.gatherRows(dy_TD, tokenOf_P, { T, D });
  const dweighted_PF = groupedLinearBackward(dout_PD, down, bounds);
  const s_PF = engine.swiglu(gateUp_P2F, size);
  const input = { dy_TD: dweighted_PF, x_TD: s_PF, factor_T: weight_P };
  const { dx_TD: ds_PF, dfactor_T } = engine.scaleRowsBackward(input, { T: size.T, D: size.F });
  const dgateUp_P2F = engine.swigluBackward(ds_PF, gateUp_P2F, size);
  const dh_PD = groupedLinearBackward(dgateUp_P2F, gateUp, bounds);
  const residual = engine.scatterRows(dh_PD, tokenOf_P, { T, D });
  const dz_TE = engine.upload(routeBackward(readNow(dfactor_T), routing, config));
  const dh_TD = engine.linearBackward(dz_TE, router, { T, residual });
  engine.free(dout_PD, dweighted_PF, s_PF, ds_PF, dfactor_T, dgateUp_P2F, dh_PD, residual, dz_TE);
  return dh_TD;
}

type Abilities = Required<Pick<Engine, "readNow" | "groupedLinear" | "groupedLinearBackward">>;

/** `createModel` has refused an engine without them. */
function abilities(engine: Engine): Abilities {
  const { readNow, groupedLinear, groupedLinearBackward } = engine;
  if (readNow && groupedLinear && groupedLinearBackward) return { readNow, groupedLinear, groupedLinearBackward };
  throw new RangeError(`Cannot compute experts on the engine ${engine.name}: it has no groupedLinear`);
}
