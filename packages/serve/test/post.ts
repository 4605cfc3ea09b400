/** Requests to a server as a plain client makes them. */
import type { RunningServer } from "@zerogate/serve";

/** An answer. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body; undefined if it is no JSON. */
  // oxlint-disable-next-line typescript/no-explicit-any -- what it holds is for the test to say
  readonly json: any;
  /** Events of a stream, without `[DONE]`. */
  // oxlint-disable-next-line typescript/no-explicit-any -- what they hold is for the test to say
  readonly events: any[];
}

export async function ask(server: Pick<RunningServer, "url">, path: string, init: RequestInit = {}): Promise<Reply> {
  const response = await fetch(`${server.url}${path}`, init);
  const text = await response.text();
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isStream ? undefined : parsed(text),
    events: isStream ? eventsOf(text) : [],
  };
}

export const post = (server: Pick<RunningServer, "url">, path: string, body: object): Promise<Reply> =>
  ask(server, path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function eventsOf(text: string): unknown[] {
  const data = text.split("\n\n").flatMap((event) => (event.startsWith("data: {") ? [event.slice(6)] : []));
  return data.map((json) => JSON.parse(json));
}
