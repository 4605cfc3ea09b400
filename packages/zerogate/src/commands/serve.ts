/** `zerogate serve`: a base and its adapters over OpenAI's API, until it is asked to end. */
import { readFile } from "node:fs/promises";
import { InputError } from "@zerogate/core";
import { reason } from "@zerogate/core/node";
import { MAX_SECONDS, MAX_TOKENS, MAX_WORKERS } from "@zerogate/run-config";
import { type NamedToken, type ServerOptions, startServer } from "@zerogate/serve";
import { logLevel, openLog } from "../log.ts";
import { openStatus } from "../status/display.ts";
import type { CommandContext, ExitCode } from "./context.ts";
import { type EngineFlags, engineFlags, numberFlag, outputBiasFlag, promptFlags } from "./flags.ts";
import { fetchMissing } from "./hub_names.ts";

/** What is served, and how. */
export interface ServeFlags extends EngineFlags {
  readonly model?: string;
  readonly adapter?: readonly string[];
  readonly name?: string;
  readonly host?: string;
  readonly port?: string;
  readonly tokenFile?: string;
  readonly allowedHost?: readonly string[];
  readonly corsOrigin?: readonly string[];
  readonly workers?: string;
  readonly maxRunning?: string;
  readonly maxWaiting?: string;
  readonly passTokens?: string;
  readonly kvTokens?: string;
  readonly allowAdapterChanges?: boolean;
  readonly adapterDir?: string;
  readonly maxBody?: string;
  readonly requestTimeout?: string;
  readonly drain?: string;
  readonly template?: string;
  readonly bos?: string;
  readonly outputBias?: string;
  readonly download?: boolean;
  readonly tokenizer?: string;
  readonly links?: boolean;
  readonly strictTensors?: boolean;
}

/** Serves until a signal asks it to end; then texts end, and the exit code is 0. */
export async function serveCommand(flags: ServeFlags, context: CommandContext): Promise<ExitCode> {
  const { stderr, env, signal } = context;
  const options = { ...serverOptions(flags), tokens: await tokensOf(flags.tokenFile, env) };
  const { model, tokenizer, adapter = [] } = flags;
  await fetchMissing([model, tokenizer, ...adapter], flags.download, context);
  const status = openStatus(stderr, env);
  const { logger } = openLog({ level: logLevel(undefined, env), print: status.log });
  const server = await startServer(options, {
    onWarning: (message) => logger.warn(message),
    onPhase: status.phase,
    onNote: (note) => logger.info(note),
    onRequest({ error, ms, ...line }) {
      const said = { ...line, ms: Math.round(ms) };
      if (error && line.status >= 500) logger.error({ ...said, err: error }, "request");
      else logger.info(said, "request");
    },
    onWorker(event) {
      if (event.type === "worker-died") logger.warn(`worker ${event.worker} is lost: ${event.reason.message}`);
      else logger.debug(event.type);
    },
  }).finally(() => status.stop());
  const named = [server.name, ...server.adapters].join(", ");
  stderr.write(`Serving ${named} at ${server.url}\n`);
  const lost = await Promise.race([server.lost, aborted(signal)]);
  if (!lost) stderr.write("Ending once what is being answered is answered. A second signal ends at once.\n");
  await server.close();
  if (lost) throw new Error(`Cannot go on serving: ${lost.message}`, { cause: lost });
  return 0;
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

/** All problems at once. */
function serverOptions(flags: ServeFlags): ServerOptions {
  const problems: string[] = [];
  const whole = (name: string, text: string | undefined, range: { readonly min: number; readonly max: number }) =>
    text === undefined ? undefined : numberFlag(name, text, 0, { ...range, whole: true }, problems);
  const counts = {
    port: whole("--port", flags.port, { min: 0, max: 65_535 }),
    workers: whole("--workers", flags.workers, { min: 1, max: MAX_WORKERS }),
    maxRunning: whole("--max-running", flags.maxRunning, { min: 1, max: MAX_TOKENS }),
    maxWaiting: whole("--max-waiting", flags.maxWaiting, { min: 0, max: MAX_TOKENS }),
    passTokens: whole("--pass-tokens", flags.passTokens, { min: 1, max: MAX_TOKENS }),
    kvTokens: whole("--kv-tokens", flags.kvTokens, { min: 1, max: Number.MAX_SAFE_INTEGER }),
    maxBody: whole("--max-body", flags.maxBody, { min: 1, max: 2 ** 31 }),
    requestTimeout: whole("--request-timeout", flags.requestTimeout, { min: 1, max: MAX_SECONDS }),
    drain: whole("--drain", flags.drain, { min: 0, max: MAX_SECONDS }),
  };
  if (problems.length > 0) throw new InputError("Cannot serve", problems);
  const { model, name, host, adapterDir, allowAdapterChanges, tokenizer, links, strictTensors } = flags;
  return {
    ...engineFlags(flags),
    ...promptFlags(flags),
    ...counts,
    model,
    name,
    host,
    adapterDir,
    allowAdapterChanges,
    tokenizer,
    links,
    strictTensors: strictTensors === true,
    adapters: flags.adapter ?? [],
    allowedHosts: flags.allowedHost ?? [],
    corsOrigins: flags.corsOrigin ?? [],
    outputBias: outputBiasFlag(flags),
  };
}

/** Tokens of a file, one a line as `TOKEN` or `NAME TOKEN`, and that of the environment. */
async function tokensOf(file: string | undefined, env: CommandContext["env"]): Promise<NamedToken[]> {
  const tokens: NamedToken[] = [];
  const own = env["ZEROGATE_TOKEN"];
  if (own !== undefined && own !== "") tokens.push({ name: "ZEROGATE_TOKEN", token: own });
  if (file === undefined) return tokens;
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new InputError(`Cannot read the tokens of ${file}`, reason(cause), { cause });
  });
  const lines = text.split("\n").map((line) => line.trim());
  for (const line of lines.filter((one) => one !== "" && !one.startsWith("#"))) {
    const words = line.split(/\s+/);
    const [first = "", second] = words;
    if (words.length > 2)
      throw new InputError(`Cannot read the tokens of ${file}`, "a line has TOKEN, or NAME TOKEN, and no more words");
    tokens.push(
      second === undefined ? { name: `token ${tokens.length + 1}`, token: first } : { name: first, token: second },
    );
  }
  if (tokens.length === 0) throw new InputError(`Cannot read the tokens of ${file}`, "it has none, write one a line");
  return tokens;
}
