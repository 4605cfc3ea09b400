/** Workers that end or hang, queues that are full, servers that load or end: what is accepted is answered, with the same tokens. */
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { CrewEvent, RequestLine } from "@zerogate/serve";
import { expect, test } from "vitest";
import { ask, post, type Reply } from "../test/post.ts";
import { openServers } from "../test/served.ts";
import { openTrouble } from "../test/troubled_engine.ts";

const servers = await openServers();
const trouble = openTrouble(servers.place.at("."));
const body = { model: "one", prompt: "Once upon a time", max_tokens: 12, temperature: 0.9, ignore_eos: true };
const complete = (server: { url: string }, more: object = {}): Promise<Reply> =>
  post(server, "/v1/completions", { ...body, ...more });
const textsOf = (replies: readonly Reply[]) => replies.map(({ json, text }) => json?.choices?.[0]?.text ?? text);
const eventually = <T>(read: () => Promise<T>) => expect.poll(read, { timeout: 600_000, interval: 5 });
const health = async (server: { url: string }) => (await ask(server, "/health")).json;
const requests = Array.from({ length: 10 }, (_, seed) => ({ seed, model: ["one", "two", "base"][seed % 3] }));

test("texts of a worker that ends go on elsewhere with the same tokens, and another worker takes its place [S-failover]", async () => {
  const quiet = await servers.start();
  const expected = textsOf(await Promise.all(requests.map((one) => complete(quiet, one))));
  const events: CrewEvent[] = [];
  const options = { engine: trouble.engine, workers: 2, maxRunning: 4 };
  const server = await servers.start(options, { onWorker: (event) => events.push(event) });
  for (let round = 0; round < 3; round++) {
    const answers = requests.map((one) => complete(server, one));
    await eventually(async () => (await health(server)).running).toBeGreaterThan(2);
    trouble.kill();
    expect(textsOf(await Promise.all(answers))).toEqual(expected);
    await eventually(async () => (await health(server)).ready).toBe(2);
  }
  const deaths = events.filter(({ type }) => type === "worker-died");
  expect(deaths.length).toBeGreaterThan(0);
  expect(deaths.some((event) => "texts" in event && event.texts > 0)).toBe(true);
});

test("a worker that hangs is ended, and its texts go on; other requests are answered meanwhile [S-failover, S-live]", async () => {
  const quiet = await servers.start();
  const expected = textsOf([await complete(quiet, { seed: 1 })]);
  const events: CrewEvent[] = [];
  const server = await servers.start(
    { engine: trouble.engine, workerTimeout: 0.5 },
    {
      onWorker(event) {
        events.push(event);
        if (event.type === "worker-died") trouble.go();
      },
    },
  );
  trouble.hold();
  const answer = complete(server, { seed: 1 });
  await eventually(async () => (await health(server)).running).toBe(1);
  expect((await ask(server, "/live")).status).toBe(200);
  expect((await ask(server, "/v1/models")).json.data).toHaveLength(3);
  expect(textsOf([await answer])).toEqual(expected);
  expect(events.find(({ type }) => type === "worker-died")).toMatchObject({
    reason: { message: expect.stringContaining("no sign of life") },
  });
});

test("with its only worker gone a server says 503, and what it took goes on once another is there [S-503]", async () => {
  const server = await servers.start({ engine: trouble.engine });
  trouble.hold();
  const answer = complete(server, { seed: 2 });
  await eventually(async () => (await health(server)).running).toBe(1);
  trouble.holdStarts();
  trouble.kill();
  trouble.go();
  trouble.holdStarts();
  await eventually(async () => (await health(server)).ready).toBe(0);
  const refused = await complete(server);
  expect(refused).toMatchObject({ status: 503, json: { error: { code: "unavailable" } } });
  expect(refused.headers.get("retry-after")).toBe("1");
  trouble.go();
  expect((await answer).status).toBe(200);
});

test("while it loads a server says 503 to all but /live [S-503, S-health]", async () => {
  const port = await freePort();
  trouble.holdStarts();
  const starting = servers.start({ engine: trouble.engine, port });
  const server = { url: `http://127.0.0.1:${port}` };
  await eventually(async () => (await ask(server, "/live").catch(() => undefined))?.status).toBe(200);
  expect(await ask(server, "/health")).toMatchObject({ status: 503, json: { status: "loading" } });
  expect((await complete(server)).status).toBe(503);
  trouble.go();
  await starting;
  expect(await ask(server, "/health")).toMatchObject({ status: 200, json: { status: "ok", ready: 1 } });
});

test("a full queue is 429 with the seconds to wait; what was accepted is answered [S-429]", async () => {
  const server = await servers.start({ engine: trouble.engine, maxRunning: 1, maxWaiting: 2 });
  trouble.hold();
  const accepted = [0, 1, 2].map((seed) => complete(server, { seed }));
  await eventually(async () => (await health(server)).waiting).toBe(2);
  const refused = await complete(server);
  expect(refused).toMatchObject({ status: 429, json: { error: { type: "rate_limit_error", code: "queue_full" } } });
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  const together = await complete(server, { n: 2 });
  expect(together.status).toBe(429); // all texts of a request or none
  trouble.go();
  expect((await Promise.all(accepted)).map(({ status }) => status)).toEqual([200, 200, 200]);
});

test("a request past its time is 408 before its first token, and the last event of its stream after it [S-timeout]", async () => {
  const server = await servers.start({ engine: trouble.engine });
  trouble.hold();
  const late = await complete(server, { timeout: 0.05 });
  expect(late).toMatchObject({ status: 408, json: { error: { code: "deadline", type: "timeout_error" } } });
  const stream = complete(server, { timeout: 0.05, stream: true });
  expect((await stream).status).toBe(408);
  trouble.go();
  const response = await fetch(`${server.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, max_tokens: 150, timeout: 3, stream: true }),
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = (await reader?.read())?.value ?? "";
  trouble.hold();
  for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) text += next.value;
  trouble.go();
  expect(text).toMatch(
    /data: \{"error":\{"message":"Cannot finish .*its deadline passed after \d+ new tokens.*\}\n\n$/,
  );
  expect(text).not.toContain("[DONE]");
  await eventually(async () => (await health(server)).running).toBe(0);
  const limited = await servers.start({ engine: trouble.engine, requestTimeout: 0.05 });
  trouble.hold();
  expect((await complete(limited)).status).toBe(408);
  trouble.go();
});

test("a client that leaves frees its place, streaming or not, waiting or answered [S-cancel]", async () => {
  const server = await servers.start({ engine: trouble.engine, maxRunning: 1 });
  trouble.hold();
  const leaving = [true, false].map((stream) => {
    const controller = new AbortController();
    const asked = fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...body, max_tokens: 150, stream }),
      signal: controller.signal,
    });
    return { controller, asked: asked.then((response) => response.text()).catch(() => "left") };
  });
  await eventually(async () => (await health(server)).waiting).toBe(1);
  for (const { controller } of leaving) controller.abort();
  expect(await Promise.all(leaving.map(({ asked }) => asked))).toEqual(["left", "left"]);
  await eventually(async () => (await health(server)).running).toBe(0);
  expect((await health(server)).waiting).toBe(0);
  trouble.go();
  expect((await complete(server)).status).toBe(200);
});

test("a client that leaves while its chat is written is not answered [S-cancel]", async () => {
  const slow = servers.place.at("slow.jinja");
  writeFileSync(
    slow,
    "{% if messages | length == 1 and messages[0].content == 'B' %}{% for i in range(400000) %}{% endfor %}{% endif %}" +
      "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}",
  );
  const lines: RequestLine[] = [];
  const server = await servers.start({ template: slow }, { onRequest: (line) => lines.push(line) });
  const controller = new AbortController();
  const { signal } = controller;
  const asked = fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "base", messages: [{ role: "user", content: "B" }], ignore_eos: true }),
    signal,
  });
  setTimeout(() => controller.abort(), 20);
  await expect(asked).rejects.toThrow("aborted");
  await eventually(async () => lines.at(-1)?.status).toBe(499);
  const counts = async () => (await ask(server, "/metrics")).text;
  // Its text was submitted once its chat was written, and given up at once.
  await eventually(counts).toContain('zerogate_tokens_total{kind="prompt"}');
  await eventually(async () => (await health(server)).running).toBe(0);
  expect(await counts()).not.toContain('kind="generated"');
});

test("a server that ends answers what it has, takes nothing new, and cuts what takes too long [S-drain]", async () => {
  const server = await servers.start({ engine: trouble.engine, drain: 600 });
  trouble.hold();
  const answers = [1, 2].map((seed) => complete(server, { seed, stream: seed === 1 }));
  await eventually(async () => (await health(server)).running).toBe(2);
  const closing = server.close();
  await expect(ask(server, "/live")).rejects.toThrow("fetch failed");
  trouble.go();
  const [streamed, whole] = await Promise.all(answers);
  expect(streamed?.text.endsWith("data: [DONE]\n\n")).toBe(true);
  expect(whole?.status).toBe(200);
  await closing;
  const hasty = await servers.start({ engine: trouble.engine, drain: 0 });
  trouble.hold();
  const cut = complete(hasty);
  await eventually(async () => (await health(hasty)).running).toBe(1);
  const ended = hasty.close();
  expect(await cut).toMatchObject({
    status: 500,
    json: { error: { message: "Cannot finish: the server is closing" } },
  });
  trouble.go();
  await ended;
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address ? address.port : 0;
}
