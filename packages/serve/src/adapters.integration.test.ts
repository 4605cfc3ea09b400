/** Adapters come, are replaced and go while texts are answered. */
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readModelConfig } from "@zerogate/core/node";
import { expect, test } from "vitest";
import { ask, post, type Reply } from "../test/post.ts";
import { openServers, writeAdapter } from "../test/served.ts";

const servers = await openServers();
const { at, base } = servers.place;
mkdirSync(at("open"));
const model = await readModelConfig(base);
for (const seed of [3, 4]) await writeAdapter(at(`open/v${seed}`), model, seed);
const server = await servers.start({ allowAdapterChanges: true, adapterDir: at("open") });
const load = (name: string, path: string) => post(server, "/v1/adapters", { name, path });
const complete = (name: string): Promise<Reply> =>
  post(server, "/v1/completions", { model: name, prompt: "Once upon a time", max_tokens: 10, temperature: 0 });
const remove = (name: string) => ask(server, `/v1/adapters/${name}`, { method: "DELETE" });

test("an adapter is loaded, listed, used, replaced and unloaded [S-adapters]", async () => {
  const created = await load("mine", "v3");
  expect(created).toMatchObject({ status: 201, json: { name: "mine", template: "alpaca", promptLength: 3 } });
  const { data } = (await ask(server, "/v1/adapters")).json;
  expect(data.map(({ name }: { name: string }) => name)).toEqual(["one", "two", "mine"]);
  const first = (await complete("mine")).json.choices[0].text;
  expect(first).not.toBe((await complete("base")).json.choices[0].text);
  const replaced = await load("mine", at("open/v4"));
  expect(replaced.status).toBe(200);
  expect(replaced.json.sha256).not.toBe(created.json.sha256);
  const second = (await complete("mine")).json.choices[0].text;
  expect(second).not.toBe(first);
  expect((await load("again", "v3")).json.sha256).toBe(created.json.sha256);
  expect((await complete("again")).json.choices[0].text).toBe(first);
  expect((await remove("mine")).json).toEqual({ name: "mine", deleted: true });
  expect((await complete("mine")).json.error.code).toBe("model_not_found");
  expect((await remove("mine")).status).toBe(404);
  await remove("again");
});

test("the routes that vLLM's clients know do the same [S-load_lora_adapter, S-unload_lora_adapter]", async () => {
  const loaded = await post(server, "/v1/load_lora_adapter", { lora_name: "lora", lora_path: "v3" });
  expect(loaded).toMatchObject({ status: 200, text: "Success: adapter lora is loaded." });
  expect((await complete("lora")).status).toBe(200);
  expect((await post(server, "/v1/unload_lora_adapter", { lora_name: "lora" })).status).toBe(200);
  expect((await post(server, "/v1/unload_lora_adapter", { lora_name: "lora" })).status).toBe(404);
});

test("an adapter that is replaced under load fails no request, and each answer is that of one of the two [S-replace]", async () => {
  await load("hot", "v3");
  const texts = [(await complete("hot")).json.choices[0].text];
  await load("hot", "v4");
  texts.push((await complete("hot")).json.choices[0].text);
  const answers: Promise<Reply>[] = [];
  const loads: number[] = [];
  for (let i = 0; i < 12; i++) {
    answers.push(complete("hot"));
    if (i % 3 === 0) loads.push((await load("hot", i % 2 === 0 ? "v3" : "v4")).status);
  }
  expect(loads).toEqual([200, 200, 200, 200]);
  for (const reply of await Promise.all(answers)) expect(texts).toContain(reply.json.choices[0].text);
  await remove("hot");
});

test("a text goes on under an adapter that is unloaded meanwhile [S-unload]", async () => {
  await load("brief", "v3");
  const whole = (await complete("brief")).json.choices[0].text;
  const body = { model: "brief", prompt: "Once upon a time", max_tokens: 10, temperature: 0, stream: true };
  const headers = { "content-type": "application/json" };
  // It has its status once its first token is there.
  const running = await fetch(`${server.url}/v1/completions`, { method: "POST", headers, body: JSON.stringify(body) });
  await remove("brief");
  const pieces = Array.from(
    (await running.text()).matchAll(/"text":("(?:[^"\\]|\\.)*")/g),
    ([, text = ""]) => JSON.parse(text) as string,
  );
  expect(pieces.join("")).toBe(whole);
});

const places: readonly [title: string, path: string][] = [
  ["a path that climbs out [S-adapter-dir]", "../one"],
  ["an absolute path elsewhere [S-adapter-dir]", "/etc"],
  ["a path with a zero byte [S-adapter-dir]", "v3\0"],
  ["a folder that is not there [S-adapter-dir]", "nothing"],
  ["the folder itself [S-adapter-dir]", "."],
];

test.each(places)("%s loads nothing, and does not say what is there", async (_, path) => {
  const reply = await load("bad", path);
  expect(reply).toMatchObject({ status: 400, json: { error: { param: "path" } } });
  expect(reply.json.error.message).toBe("Cannot load the adapter: its path must lead to a folder inside --adapter-dir");
});

test("a link that leads out of the folder loads nothing [S-adapter-dir]", async () => {
  symlinkSync(at("one"), at("open/link"));
  expect((await load("bad", "link")).status).toBe(400);
  rmSync(at("open/link"));
});

const names: readonly [title: string, name: string][] = [
  ["the base's name [S-adapter-names]", "base"],
  ["a name with a line break [S-adapter-names]", "a\nb"],
  ["a name with a quote [S-adapter-names]", 'a"b'],
  ["a name of spaces [S-adapter-names]", "  "],
  ["a name of 200 letters [S-adapter-names]", "a".repeat(200)],
];

test.each(names)("%s is no name of an adapter", async (_, name) => {
  expect((await load(name, "v3")).status).toBe(400);
});

test("a damaged folder is refused with what is wrong, and what had the name keeps it [S-adapters]", async () => {
  await load("kept", "v3");
  const before = (await complete("kept")).json.choices[0].text;
  cpSync(at("open/v4"), at("open/damaged"), { recursive: true });
  writeFileSync(join(at("open/damaged"), "adapter_model.safetensors"), "nothing");
  const reply = await load("kept", "damaged");
  expect(reply.status).toBe(400);
  expect(reply.json.error.message).toContain("adapter_model.safetensors");
  expect((await complete("kept")).json.choices[0].text).toBe(before);
  await remove("kept");
});

test("without --allow-adapter-changes nothing is loaded or unloaded; without --adapter-dir nothing is loaded [S-adapter-changes]", async () => {
  const closed = await servers.start();
  expect((await post(closed, "/v1/adapters", { name: "x", path: at("open/v3") })).status).toBe(403);
  expect((await ask(closed, "/v1/adapters/one", { method: "DELETE" })).status).toBe(403);
  const half = await servers.start({ allowAdapterChanges: true });
  expect((await post(half, "/v1/adapters", { name: "x", path: at("open/v3") })).status).toBe(403);
  expect((await ask(half, "/v1/adapters/one", { method: "DELETE" })).status).toBe(200);
});

test("loads, replacements and unloads of many names leave nothing behind", async () => {
  for (let i = 0; i < 20; i++) {
    await load(`n${i % 4}`, i % 2 === 0 ? "v3" : "v4");
    if (i % 3 === 0) await complete(`n${i % 4}`);
    if (i % 5 === 4) await remove(`n${i % 4}`);
  }
  for (const i of [0, 1, 2, 3]) await remove(`n${i}`);
  expect((await ask(server, "/v1/adapters")).json.data).toHaveLength(2);
});
