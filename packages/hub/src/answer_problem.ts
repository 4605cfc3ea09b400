/** What the Hub says no to, in words that say what to type. */
import { InputError } from "@zerogate/core/light";
import type { Hub, HubAnswer } from "./hub.ts";
import { HubFailure } from "./hub_failure.ts";
import { type RepoName, writeRepoName } from "./repo_name.ts";

/** Of what a server says. */
const MAX_SAID_CHARACTERS = 200;

/**
 * An answer that is no success, as an error: an `InputError` if another name, token or consent is needed, else a `HubFailure`.
 * @param attempt begins the message of an `InputError`.
 */
export function problemOf(attempt: string, name: RepoName, hub: Hub, answer: HubAnswer): InputError | HubFailure {
  const { status } = answer;
  if (status === 408 || status === 429 || status >= 500) return passingProblem(hub, answer);
  const page = `${hub.endpoint}/${name.kind === "dataset" ? "datasets/" : ""}${name.id}`;
  const code = textOf(answer.ownHeaders["x-error-code"]);
  const said = textOf(answer.ownHeaders["x-error-message"]);
  const login = `set HF_TOKEN to a token of ${hub.endpoint}/settings/tokens, or log in with hf auth login`;
  const refuse = (problem: string) => new InputError(attempt, problem);
  if (code === "GatedRepo" || (status === 403 && /gated|awaiting/i.test(said))) {
    const consent = `its owner wants your consent first: accept the terms at ${page}`;
    return refuse(hub.token === undefined ? `${consent}, then ${login}` : `${consent} as the owner of this token`);
  }
  if (/disabled/i.test(said)) return refuse(`the Hub has disabled it: ${page} says why`);
  if (status === 401) {
    return refuse(
      hub.token === undefined
        ? `the Hub has no such public ${name.kind}: check the name, and if it is private or gated, ${login}`
        : `the Hub does not take this token for it: check the name, and the token at ${hub.endpoint}/settings/tokens`,
    );
  }
  if (status === 403) {
    return refuse(`this token may not do that${said === "" ? "" : ` (${said})`}: ${login} that may`);
  }
  if (status === 404) return refuse(absence(name, hub, code));
  return new HubFailure(`the Hub answers ${status}${said === "" ? "" : ` (${said})`}`);
}

function absence(name: RepoName, hub: Hub, code: string): string {
  if (code === "RevisionNotFound") {
    return `it has no branch, tag or commit ${name.revision}: ${hub.endpoint}/${name.id}/refs lists them`;
  }
  if (code === "EntryNotFound") return `it has no such file at ${writeRepoName(name)}`;
  return `${new URL(hub.endpoint).host} has no ${name.kind} of this name: check how it is written`;
}

function passingProblem(hub: Hub, { status, headers }: HubAnswer): HubFailure {
  const waitMs = retryAfterMs(textOf(headers["retry-after"]));
  const problem =
    status === 429
      ? `the Hub limits how often it is asked (429)${hub.token === undefined ? ", less with HF_TOKEN" : ""}`
      : `the server fails (${status})`;
  return new HubFailure(problem, { isPassing: true, waitMs });
}

/** `Retry-After` in either form: seconds, or a date. */
function retryAfterMs(text: string): number | undefined {
  if (/^\d{1,9}$/.test(text)) return 1000 * Number(text);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** A header's text, cut: a stranger wrote it. */
export function textOf(header: string | readonly string[] | undefined): string {
  return (typeof header === "string" ? header : (header?.[0] ?? "")).slice(0, MAX_SAID_CHARACTERS);
}
