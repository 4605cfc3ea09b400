/** What a server is asked to serve, and how. */
import type { ModelRequest, OpeningView } from "@zerogate/trainer";
import type { NamedToken } from "./http/guard.ts";
import type { RequestLine } from "./http/router.ts";
import type { CrewEvent } from "./replicas/crew.ts";

/** What is served: base, tokenizer and adapters as `openModel` takes them, and where and for whom. */
export interface ServerOptions extends Omit<ModelRequest, "tower" | "acceptTower"> {
  /** What requests call the base. @default the name of its folder */
  readonly name?: string | undefined;
  /** Address to listen on; other machines reach only another one, for which tokens are needed. @default "127.0.0.1" */
  readonly host?: string | undefined;
  /** 0 takes any that is free. @default 8000 */
  readonly port?: number | undefined;
  /** Tokens of those who may ask. @default everybody who reaches the server may */
  readonly tokens?: readonly NamedToken[] | undefined;
  /** Further names that requests may call this machine by. @default localhost and the address itself */
  readonly allowedHosts?: readonly string[] | undefined;
  /** Origins of pages that may ask. @default none but the server's own */
  readonly corsOrigins?: readonly string[] | undefined;
  /** Workers with an engine each, which share the weights and the cores. @default 1 */
  readonly workers?: number | undefined;
  /** Texts that one worker answers at the same time. @default 16 */
  readonly maxRunning?: number | undefined;
  /** Texts that wait beside those; a further one is refused with 429. @default 64 */
  readonly maxWaiting?: number | undefined;
  /** Rows of a round of the scheduler. @default 256 */
  readonly passTokens?: number | undefined;
  /** Tokens whose keys and values a worker holds at the most. @default no limit */
  readonly kvTokens?: number | undefined;
  /** Texts that have ended whose prompts' keys and values a worker keeps. @default 16 */
  readonly keptTexts?: number | undefined;
  /** Adapters whose prompts a worker keeps beside those in use. @default 64 */
  readonly keptPrompts?: number | undefined;
  /** Requests may load and unload adapters. @default false */
  readonly allowAdapterChanges?: boolean | undefined;
  /** The folder inside which adapters that requests name must lie. @default none */
  readonly adapterDir?: string | undefined;
  /** Largest body of a request, in bytes. @default 1048576 */
  readonly maxBody?: number | undefined;
  /** Connections at the same time. @default 256 */
  readonly maxConnections?: number | undefined;
  /** Seconds that a request may take, unless it says less itself. @default no limit */
  readonly requestTimeout?: number | undefined;
  /** Seconds that texts have to end once the server is asked to. @default 30 */
  readonly drain?: number | undefined;
  /** Seconds without a sign of life after which a worker with something to do counts as hung; 0: none does. @default 60 */
  readonly workerTimeout?: number | undefined;
}

/** Where a server reports what it does. @default nowhere */
export interface ServerView extends OpeningView {
  /** Receives each request once it has been answered. */
  readonly onRequest?: (line: RequestLine) => void;
  /** Receives what happens to workers. */
  readonly onWorker?: (event: CrewEvent) => void;
}

/** A server that listens. */
export interface RunningServer {
  /** Where it is reached from this machine. */
  readonly url: string;
  /** What requests call the base. */
  readonly name: string;
  /** Names of adapters. */
  readonly adapters: readonly string[];
  /** Resolves once nothing can be answered any more, with the reason. */
  readonly lost: Promise<Error>;
  /** Takes no further request, lets texts end for as long as `drain` says, and ends. */
  close(): Promise<void>;
}
