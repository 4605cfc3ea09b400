/** What goes wrong between here and the Hub: said in words, and whether it may go right the next time. */

/** A request that was not answered, or not as it should be. The message is the end of a sentence. */
export class HubFailure extends Error {
  override readonly name = "HubFailure";
  /** Whether the same request may go right a moment later. */
  readonly isPassing: boolean;
  /** How long whoever answered wants us to wait. */
  readonly waitMs: number | undefined;

  constructor(problem: string, options: { isPassing?: boolean; waitMs?: number | undefined; cause?: unknown } = {}) {
    super(problem, { cause: options.cause });
    this.isPassing = options.isPassing ?? false;
    this.waitMs = options.waitMs;
  }
}

const passing: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses the connection",
  ECONNRESET: "ended the connection",
  EPIPE: "ended the connection",
  EHOSTUNREACH: "cannot be reached",
  ENETUNREACH: "cannot be reached",
  ETIMEDOUT: "did not answer in time",
  EAI_AGAIN: "is a name that no server could look up",
  ENOTFOUND: "is a name that no server knows",
  UND_ERR_SOCKET: "ended the connection",
  UND_ERR_CONNECT_TIMEOUT: "did not answer in time",
  UND_ERR_HEADERS_TIMEOUT: "did not answer in time",
  UND_ERR_BODY_TIMEOUT: "fell silent",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "ended the connection",
  UND_ERR_HEADERS_OVERFLOW: "answers with headers without end",
  HPE_INVALID_CONSTANT: "does not speak HTTP",
};

/** A connection that failed, as a `HubFailure`. */
export function failureOf(cause: unknown, { host }: URL): HubFailure {
  if (cause instanceof HubFailure) return cause;
  const code = codeOf(cause);
  const known = code === undefined ? undefined : passing[code];
  const said = known ?? `cannot be asked (${cause instanceof Error ? cause.message : String(cause)})`;
  return new HubFailure(`${host} ${said}`, { isPassing: known !== undefined || isSocketError(code), cause });
}

const isSocketError = (code: string | undefined): boolean => /^(?:UND_ERR_(?:SOCKET|RES)|HPE_|ECONN)/.test(code ?? "");

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  return codeOf(error.cause);
}
