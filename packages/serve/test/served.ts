/** A server on a tiny random base with the packaged tokenizer and two adapters, for the tests of a file. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type AdapterShape,
  adapterLayout,
  initParameters,
  layerParts,
  type ModelConfig,
  type PromptFormat,
  partNumbers,
} from "@zerogate/core";
import { readModelConfig, saveAdapter } from "@zerogate/core/node";
import { type RunningServer, type ServerOptions, type ServerView, startServer } from "@zerogate/serve";
import { afterAll } from "vitest";
import { openPlace, type Place } from "../../zerogate/test/here.ts";

/** A chat template whose turns the packaged tokenizer can end. */
const chatTemplate =
  "{% for m in messages %}<{{ m.role }}> {{ m.content }}{{ eos_token if m.role == 'assistant' else '' }}\n{% endfor %}" +
  "{% if add_generation_prompt %}<assistant> {% endif %}";

const alpaca: PromptFormat = {
  bos: "tokenizer",
  template: {
    name: "alpaca",
    withInput: "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:",
    withoutInput: "### Instruction:\n{instruction}\n\n### Response:",
  },
};

/** Writes an adapter as if trained, gates open, whose prompts are written as instructions. */
export async function writeAdapter(folder: string, model: ModelConfig, seed: number): Promise<void> {
  const shape: AdapterShape = { promptLength: 3, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" };
  const layout = adapterLayout(shape, model);
  const params = initParameters(layout.table, seed);
  for (const { gate } of layerParts(layout)) partNumbers(gate, params).fill(0.5 + 0.1 * seed);
  const config = {
    peftType: "ADAPTION_PROMPT",
    targetModules: null,
    adapterLen: 3,
    adapterLayers: 2,
    taskType: "CAUSAL_LM",
    inferenceMode: true,
    baseModelNameOrPath: null,
    revision: null,
    autoMapping: null,
  } as const;
  await saveAdapter(folder, { config, layout, params, promptFormat: alpaca });
}

/** Servers of a test file. */
export interface Servers {
  readonly place: Place;
  /** Starts one; it is closed after the tests. */
  start(options?: Partial<ServerOptions>, view?: ServerView): Promise<RunningServer>;
}

/** A base with a chat template, and adapters `one` and `two`. */
export async function openServers(): Promise<Servers> {
  const place = openPlace();
  writeFileSync(join(place.base, "chat_template.jinja"), chatTemplate);
  const model = await readModelConfig(place.base);
  for (const [i, name] of ["one", "two"].entries()) await writeAdapter(place.at(name), model, 1 + i);
  const running: RunningServer[] = [];
  afterAll(async () => {
    await Promise.all(running.map((server) => server.close()));
  });
  return {
    place,
    async start(options = {}, view = {}) {
      const adapters = ["one", "two"].map((name) => place.at(name));
      const server = await startServer(
        { model: place.base, adapters, engine: "reference", port: 0, drain: 1, ...options },
        view,
      );
      running.push(server);
      return server;
    },
  };
}
