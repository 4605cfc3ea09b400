/** How much memory training an adapter on a base would take on this machine. */
import { adapterLayout, defaultAdapterLayers, type ModelConfig, settingsOf } from "@zerogate/core";
import { formatBytes } from "@zerogate/core/formats";
import { weightBytes } from "@zerogate/core/node";
import { chooseEngine, isIsolated, loadOptions, resolveConfig } from "@zerogate/run-config";
import { estimateMemory } from "@zerogate/trainer/command";

/** Returns what `train` with its defaults would take, in words; undefined if no engine of this machine takes the base as it is. */
export async function trainingMemory(folder: string, model: ModelConfig): Promise<string | undefined> {
  const config = resolveConfig({ settings: { model: folder, data: [folder], out: folder } });
  const { workers, cellTokens, adapterLen: promptLength, adapterLayers = defaultAdapterLayers(model) } = config;
  try {
    const engine = await chooseEngine({ ...config, compute: "f32" }, model, 1);
    const layout = adapterLayout({ promptLength, adaptedLayers: adapterLayers, ...settingsOf(config) }, model);
    const weights = await weightBytes(folder, model, loadOptions(engine));
    const isSeparate = isIsolated(config, engine);
    const memory = estimateMemory(model, layout, { cellTokens, workers, weights, engine, isIsolated: isSeparate });
    const parts = `base ${formatBytes(memory.weights)}, each of ${workers} workers ${formatBytes(memory.perWorker)}`;
    return `${formatBytes(memory.total)} with the engine ${engine.name} here: ${parts}`;
  } catch {
    return undefined; // its problems are among those of the model, or of the machine, which doctor names
  }
}
