/** Some bytes of a file of a repository, by a range request. */
import { isZerogateError } from "@zerogate/core/light";
import { problemOf } from "./answer_problem.ts";
import { resolvePath, type WantedFile } from "./append_rest.ts";
import type { Hub } from "./hub.ts";
import { failureOf, HubFailure } from "./hub_failure.ts";
import { openPatience } from "./patience.ts";

/** Reads the bytes `begin` … `end`; a server that sends all of the file is read no further than to these. */
export async function fetchRange(
  hub: Hub,
  wanted: WantedFile,
  [begin, end]: readonly [begin: number, end: number],
  attempt: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (begin === end) return new Uint8Array();
  const patience = openPatience(hub, `${attempt}: ${wanted.file.path}`, signal);
  for (;;) {
    try {
      const answer = await hub.ask(resolvePath(wanted), { headers: { range: `bytes=${begin}-${end - 1}` }, signal });
      if (answer.status !== 200 && answer.status !== 206) {
        await answer.drop();
        throw problemOf(attempt, wanted.name, hub, answer);
      }
      const chunks: Uint8Array[] = [];
      let before = answer.status === 200 ? begin : 0;
      let missing = end - begin;
      for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
        const own = chunk.subarray(before, before + missing);
        before -= Math.min(before, chunk.length);
        chunks.push(own);
        missing -= own.length;
        if (missing === 0) break;
      }
      if (missing === 0) return new Uint8Array(Buffer.concat(chunks));
      throw new HubFailure(`the server ends ${missing} bytes early`, { isPassing: true });
    } catch (error) {
      signal.throwIfAborted();
      await patience.after(isZerogateError(error) ? error : failureOf(error, new URL(hub.endpoint)));
    }
  }
}
