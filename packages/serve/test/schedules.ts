/** Random schedules of requests through a server whose workers end now and then; each answer must be the one of a quiet server. */
import * as fc from "fast-check";
import { expect } from "vitest";
import { ask, post } from "./post.ts";
import type { Servers } from "./served.ts";
import { openTrouble } from "./troubled_engine.ts";

const request = fc.record({
  model: fc.constantFrom("one", "two", "base"),
  prompt: fc.array(fc.integer({ min: 3, max: 900 }), { minLength: 1, maxLength: 60 }),
  max_tokens: fc.constantFrom(1, 6, 14),
  temperature: fc.constantFrom(0, 1.2),
  seed: fc.nat(99),
  adapter_scale: fc.constantFrom(1, 0.5),
  logprobs: fc.constantFrom(1, 2),
  echo: fc.boolean(),
  ignore_eos: fc.constant(true),
});
const step = fc.oneof(
  { weight: 6, arbitrary: request.map((body) => ({ body, leaves: false })) },
  { weight: 1, arbitrary: request.map((body) => ({ body, leaves: true })) },
  { weight: 1, arbitrary: fc.constant("death" as const) },
  { weight: 2, arbitrary: fc.constant("pause" as const) },
);

/** Runs schedules against servers of 1 and 2 workers. */
export async function checkSchedules(servers: Servers, numRuns: number, seed: number): Promise<void> {
  const trouble = openTrouble(servers.place.at("."));
  const quiet = await servers.start({ maxRunning: 1 });
  const sizes = [
    { workers: 1, maxRunning: 5, passTokens: 24 },
    { workers: 2, maxRunning: 3, passTokens: 200 },
  ];
  const busy = await Promise.all(
    sizes.map((size) => servers.start({ engine: trouble.engine, kvTokens: 260, keptTexts: 3, ...size })),
  );
  const schedule = fc.record({ which: fc.nat(1), steps: fc.array(step, { minLength: 4, maxLength: 12 }) });
  const property = fc.asyncProperty(schedule, async ({ which, steps }) => {
    const server = busy[which] ?? quiet;
    const answers: { readonly body: object; readonly reply: ReturnType<typeof post> }[] = [];
    for (const one of steps) {
      if (one === "death") trouble.kill();
      else if (one === "pause") await new Promise((resolve) => setTimeout(resolve, 3));
      else if (one.leaves) leave(server.url, one.body);
      else answers.push({ body: one.body, reply: post(server, "/v1/completions", one.body) });
    }
    for (const { body, reply } of answers) {
      const { status, json } = await reply;
      // With its only worker gone a server takes nothing, and a text that lost two workers ends: both say so.
      if (status === 503 || (status === 500 && /workers ended while they answered it/.test(json.error.message)))
        continue;
      const alone = await post(quiet, "/v1/completions", body);
      expect({ status, choices: json.choices }).toEqual({ status: 200, choices: alone.json.choices });
    }
  });
  await fc.assert(property, { numRuns, seed });
  for (const server of busy) {
    const health = async () => (await ask(server, "/health")).json;
    await expect.poll(health, { timeout: 600_000 }).toMatchObject({ running: 0, waiting: 0 });
  }
}

/** Asks, and leaves soon. */
function leave(url: string, body: object): void {
  const controller = new AbortController();
  const headers = { "content-type": "application/json" };
  const { signal } = controller;
  void fetch(`${url}/v1/completions`, { method: "POST", headers, body: JSON.stringify(body), signal }).catch(() => {});
  setTimeout(() => controller.abort(), 4);
}
