/**
 * Who may ask: the host that a request names, the page that it comes from, and its token. A page of somebody else may point a name at
 * this machine (DNS rebinding), which only the check of `Host` stops.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { ApiError } from "./api_error.ts";

/** A token and who uses it. */
export interface NamedToken {
  readonly name: string;
  readonly token: string;
}

/** Who may ask. */
export interface GuardOptions {
  /** The address that the server listens on. */
  readonly host: string;
  /** Further names that requests may call this machine. */
  readonly allowedHosts: readonly string[];
  /** Origins of pages that may ask. */
  readonly corsOrigins: readonly string[];
  /** Without any, everybody who reaches the server may ask. */
  readonly tokens: readonly NamedToken[];
}

/** What is known of who asks. */
interface Caller {
  /** The name of the token; empty without tokens. */
  readonly user: string;
}

/** Checks requests. */
export interface Guard {
  /** Headers for pages of other origins. @throws ApiError 403 for a host or origin that is not allowed. */
  admit(request: IncomingMessage): Record<string, string>;
  /** @throws ApiError 401 without a token that is known. */
  identify(request: IncomingMessage): Caller;
}

const LOCAL = ["localhost", "127.0.0.1", "[::1]"];
const ANY_ADDRESS = ["0.0.0.0", "::"];

/** Whether an address is reached from this machine alone. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);

export function openGuard({ host, allowedHosts, corsOrigins, tokens }: GuardOptions): Guard {
  const own = host.includes(":") ? `[${host}]` : host;
  const hosts = new Set([...LOCAL, own, ...allowedHosts].map((name) => name.toLowerCase()));
  for (const any of ANY_ADDRESS) hosts.delete(any);
  const origins = new Set(corsOrigins.map((origin) => origin.toLowerCase()));
  const hashes = tokens.map(({ name, token }) => ({ name, hash: hashOf(token) }));

  return {
    admit({ headers }) {
      const asked = headers.host?.toLowerCase() ?? "";
      const name = asked.replace(/:\d+$/, "");
      if (!hosts.has(name)) {
        const found = `the request calls this machine "${name}", known are ${[...hosts].join(", ")}`;
        throw forbidden(`Cannot answer: ${found}; allow a name with --allowed-host`);
      }
      const origin = headers.origin?.toLowerCase();
      if (origin === undefined || origin === `http://${asked}` || origin === `https://${asked}`) return {};
      if (!origins.has(origin)) {
        throw forbidden(`Cannot answer a page of ${origin}: allow its origin with --cors-origin`);
      }
      return { "access-control-allow-origin": headers.origin ?? "", vary: "origin" };
    },
    identify({ headers }) {
      if (hashes.length === 0) return { user: "" };
      const [, token = ""] = /^Bearer +(.+)$/i.exec(headers.authorization ?? "") ?? [];
      const given = hashOf(token);
      // All are compared, each in constant time: nothing shows how much of which one was right.
      let user: string | undefined;
      for (const { name, hash } of hashes) if (timingSafeEqual(hash, given)) user = name;
      if (user !== undefined) return { user };
      throw new ApiError(401, "Cannot answer without a token that is known: send Authorization: Bearer TOKEN", {
        type: "authentication_error",
        code: "invalid_api_key",
        headers: { "www-authenticate": "Bearer" },
      });
    },
  };
}

const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();

const forbidden = (message: string): ApiError => new ApiError(403, message, { type: "permission_error" });
