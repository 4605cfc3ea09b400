/**
 * One gate a layer if heads have gates of their own (spec §4.5, `lstsq`): the one whose layer adds what comes nearest, in
 * least squares, to what it added before, measured on given tokens. With u_h what head h adds at a gate of 1, projected:
 *
 *   wanted = Σ_h g_h·u_h     open = Σ_h u_h     g = ⟨open, wanted⟩ / ⟨open, open⟩
 */
import type { AdapterState } from "../adapter/kinds/kind.ts";
import type { SavedAttention } from "./attention.ts";
import { freeSaved, layerForward } from "./block.ts";
import type { DecoderModel } from "./decoder.ts";
import { embedTokens, preparePrompts } from "./forward.ts";
import { openPass, type PackedTokens, type Pass } from "./pass.ts";
import { type LayerPrompt, promptSets, promptsForAll } from "./prompts.ts";

/** The gate of one layer and what it costs: ‖g·open − wanted‖ / ‖wanted‖ over all tokens. */
export interface FittedGate {
  readonly layer: number;
  readonly gate: number;
  readonly outputError: number;
}

/**
 * Fits one gate to every adapted layer, ascending: the one whose layer adds what comes nearest, in least squares, to what it adds now.
 * The tokens reach it through the adapter as it is.
 *
 * @example
 * const fitted = await fitGates(model, adapter, oneSequence([1, 15, 8]));
 */
export function fitGates(model: DecoderModel, state: AdapterState, tokens: PackedTokens): Promise<FittedGate[]> {
  const { engine } = model;
  return engine.arena(async () => {
    const adapter = preparePrompts(model, state);
    const pass = openPass(model, tokens);
    const fitted: FittedGate[] = [];
    let x_TD = embedTokens(model, tokens);
    for (let layer = 0; layer < model.layers.length; layer++) {
      const { y_TD, saved } = layerForward(model, layer, x_TD, pass, promptsForAll(adapter));
      const prompt = adapter.layers.get(layer);
      if (prompt && "qkv_TX" in saved.mixer) {
        const wanted = await added(model, layer, saved.mixer, prompt, pass);
        const opened = { ...prompt, gate_H: prompt.gate_H.map(() => 1) };
        const open = await added(model, layer, saved.mixer, opened, pass);
        fitted.push({ layer, ...fit(wanted, open) });
      }
      freeSaved(engine, saved);
      x_TD = y_TD;
    }
    return fitted;
  });
}

/** What the prompts of a layer add to the residual stream, `[T, D]`. */
async function added(
  model: DecoderModel,
  i: number,
  { qkv_TX, gate }: SavedAttention,
  prompt: LayerPrompt,
  pass: Pass,
): Promise<Float32Array> {
  const { engine, architecture } = model;
  const { o, window } = model.layers[i];
  const { T, H, d } = pass.size;
  const zero_TQ = engine.upload(new Float32Array(T * H * d));
  const { prompts: sets } = promptSets(i, promptsForAll({ layers: new Map([[i, prompt]]) }), T);
  const made_TQ = engine.promptAttention(zero_TQ, { qkv_TX, sets }, { ...pass.size, window });
  const y_TQ = gate ? engine.sigmoidGate(made_TQ, gate.gate_TQ, { T, F: H * d }) : made_TQ;
  if (y_TQ !== made_TQ) engine.free(made_TQ);
  const y_TD = architecture.promptsJoin === "before-output" ? engine.linear(y_TQ, o, { T }) : y_TQ;
  const values = await engine.read(y_TD);
  engine.free(zero_TQ, y_TQ);
  if (y_TD !== y_TQ) engine.free(y_TD);
  return values;
}

function fit(wanted: Float32Array, open: Float32Array): Pick<FittedGate, "gate" | "outputError"> {
  let [openWanted, openOpen, wantedWanted] = [0, 0, 0];
  for (let i = 0; i < open.length; i++) {
    openWanted += open[i] * wanted[i];
    openOpen += open[i] * open[i];
    wantedWanted += wanted[i] * wanted[i];
  }
  const gate = openOpen === 0 ? 0 : Math.fround(openWanted / openOpen);
  if (wantedWanted === 0) return { gate, outputError: 0 };
  const rest = wanted.reduce((sum, value, i) => sum + (gate * open[i] - value) ** 2, 0);
  return { gate, outputError: Math.sqrt(rest / wantedWanted) };
}
