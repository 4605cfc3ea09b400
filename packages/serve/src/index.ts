/** `@zerogate/serve`: a base and its adapters over OpenAI's API. Prints nothing. */
export type { NamedToken } from "./http/guard.ts";
export type { RequestLine } from "./http/router.ts";
export type { RunningServer, ServerOptions, ServerView } from "./options.ts";
export type { CrewEvent } from "./replicas/crew.ts";
export { startServer } from "./start.ts";
