/** Random and hostile requests in small: each gets a typed refusal or an answer, and nobody else notices. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { attack, hostileBodies } from "../test/attack.ts";
import { ask, post } from "../test/post.ts";
import { openServers } from "../test/served.ts";

const servers = await openServers();
const server = await servers.start({ maxBody: 20_000 });

test("random bodies, paths and headers are refused by type or answered, and the server goes on [S-fuzz]", async () => {
  const alone = await post(server, "/v1/completions", { model: "one", prompt: "Once", max_tokens: 4, temperature: 0 });
  await fc.assert(
    fc.asyncProperty(hostileBodies, (one) => attack(server, one)),
    { numRuns: 400, seed: 11 },
  );
  const after = await post(server, "/v1/completions", { model: "one", prompt: "Once", max_tokens: 4, temperature: 0 });
  expect(after.json.choices).toEqual(alone.json.choices);
  expect((await ask(server, "/health")).json).toMatchObject({ status: "ok", running: 0, waiting: 0 });
});
