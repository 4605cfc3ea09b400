/** Flags and help of `zerogate serve`. */
import { configFlagTable } from "../cli/config_flags.ts";
import type { CommandDefinition } from "../cli/definition.ts";
import type { ServeFlags } from "./serve.ts";
import { answering, bos, download, outputBias } from "./shared_flags.ts";

export const definition: CommandDefinition<ServeFlags> = {
  flags: {
    model: answering.model,
    adapter: {
      group: "Common",
      argument: "<dir[=name]>",
      about: "adapter folder or run, and what requests call it; may be given several times",
      repeats: true,
    },
    name: { group: "Common", argument: "<name>", about: "what requests call the base (default: its folder's name)" },
    host: { group: "Common", argument: "<address>", about: "address to listen on (default: 127.0.0.1)" },
    port: { group: "Common", argument: "<n>", about: "port, 0: any that is free (default: 8000)" },
    tokenFile: {
      group: "Common",
      argument: "<file>",
      about: "who may ask: a line has TOKEN, or NAME TOKEN; ZEROGATE_TOKEN is one more",
    },
    allowedHost: {
      group: "Advanced",
      argument: "<name>",
      about: "name that requests may call this machine, beside localhost; may be given several times",
      repeats: true,
    },
    corsOrigin: {
      group: "Advanced",
      argument: "<origin>",
      about: "origin of pages that may ask, such as https://example.org; may be given several times",
      repeats: true,
    },
    workers: {
      group: "Machine",
      argument: "<n>",
      about: "engines that share weights and cores (default: 1, which is fastest on a CPU)",
    },
    maxRunning: { group: "Machine", argument: "<n>", about: "texts that a worker answers at once (default: 16)" },
    maxWaiting: { group: "Machine", argument: "<n>", about: "texts that wait; more get 429 (default: 64)" },
    passTokens: { group: "Advanced", argument: "<n>", about: "rows of a round of the scheduler (default: 256)" },
    kvTokens: {
      group: "Machine",
      argument: "<n>",
      about: "tokens whose keys and values a worker holds (default: no limit)",
    },
    allowAdapterChanges: { group: "Adapter", about: "let requests load and unload adapters" },
    adapterDir: { group: "Adapter", argument: "<dir>", about: "folder whose adapters requests may load" },
    maxBody: { group: "Advanced", argument: "<bytes>", about: "largest body of a request (default: 1048576)" },
    requestTimeout: { group: "Advanced", argument: "<s>", about: "longest time of a request (default: no limit)" },
    drain: {
      group: "Advanced",
      argument: "<s>",
      about: "time that answers have once a signal asks to end (default: 30)",
    },
    template: {
      group: "Common",
      argument: "<name|file>",
      about: "template of chats (default: the adapter's; of the base its own, else alpaca)",
    },
    bos,
    outputBias,
    download,
    ...configFlagTable(["tokenizer", "links", "engine", "compute", "storage", "strictTensors"]),
    devices: answering.devices,
  },
  notes: "The API is OpenAI's: docs/serving.md. Only this machine reaches it, unless --host and a token say otherwise.",
  examples: [
    ["--adapter run", "serve the adapter of a run on its base"],
    ["--model base --adapter run-1=one --adapter run-2=two", "two adapters, by their names"],
    ["--model base --host 0.0.0.0 --token-file tokens.txt", "for other machines, with tokens"],
  ],
  run: async (_, flags, context) => (await import("./serve.ts")).serveCommand(flags, context),
};
