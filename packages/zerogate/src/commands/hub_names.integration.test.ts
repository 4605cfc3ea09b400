/** Names of the Hub through the command, against a Hub of this machine: nothing is fetched unasked, and then it is whole. */
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseSafetensors, serializeTorchFile } from "@zerogate/core/formats";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { writeLlamaGguf } from "../../../../tests/support/gguf_of_llama.ts";
import { commitOf, type HubServer, openHubServer, type ServedRepo } from "../../../hub/test/hub_server.ts";
import { linesOf, openPlace, sixSteps } from "../../test/here.ts";

const place = openPlace();
const { at, run } = place;

const bytesOf = (path: string): number => readFileSync(path).length;
const served = (folder: string): ServedRepo["files"] =>
  Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(join(folder, file))]));

let server: HubServer;
let base: ServedRepo;
/** Of this test. */
let env: Record<string, string> = {};
let tests = 0;

beforeAll(async () => {
  base = { id: "tiny/llama", license: "mit", files: { ...served(place.base), "pytorch_model.bin": Buffer.alloc(9) } };
  server = await openHubServer(base);
});
afterAll(async () => await server.close());
beforeEach(() => {
  env = { HF_HOME: at(`hf-${tests++}`), HF_ENDPOINT: server.endpoint, HF_TOKEN: "hf_secret" };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  server.fault = () => undefined;
  server.repos.splice(1);
  server.forget();
  return () => vi.unstubAllEnvs();
});

const snapshot = () => join(env["HF_HOME"] ?? "", "hub/models--tiny--llama/snapshots", commitOf(base));
const train = (out: string, changes: Readonly<Record<string, string>> = {}) =>
  sixSteps(place, out, { "--model": "tiny/llama", "--steps": "2", "--eval-every": "0", ...changes });

test("a name that is not here is answered with the line that fetches it, and nobody is asked [M-hub-refusals]", async () => {
  const missing =
    "it is no folder here, and the Hub's cache has none of this name: zerogate download tiny/llama@v1 fetches it";
  const flag = { "--model": "tiny/llama@v1" };
  const answers = await Promise.all([
    run(train("none", flag)),
    run(["eval", "--model", "tiny/llama@v1", "--data", at("data.json")]),
    run(["generate", "--model", "tiny/llama@v1", "--prompt", "x"]),
    run(["generate", "--adapter", "tiny/llama@v1", "--prompt", "x"]),
    run(train("none", { "--model": place.base, "--tower": "tiny/llama@v1" })),
    run(train("none", { "--model": place.base, "--init-adapter": "tiny/llama@v1" })),
  ]);
  expect(answers.map(({ code }) => code)).toEqual([2, 2, 2, 2, 2, 2]);
  expect(answers.map(({ stderr }) => stderr.trimEnd())).toEqual([
    `Cannot use this configuration: --model is "tiny/llama@v1": ${missing}`,
    `Cannot use the model tiny/llama@v1: ${missing}`,
    `Cannot use the model tiny/llama@v1: ${missing}`,
    `Cannot use the adapter tiny/llama@v1: ${missing}`,
    `Cannot use this configuration: --tower is "tiny/llama@v1": ${missing}`,
    `Cannot use this configuration: --init-adapter is "tiny/llama@v1": ${missing}`,
  ]);
  expect(server.asked).toEqual([]);
  expect(existsSync(at("none"))).toBe(false);
});

test("download says what came and what to type; then the name is a model everywhere [M-hub-download, M-hub-cache]", async () => {
  const { code, stdout, stderr } = await run(["download", "tiny/llama"], { env });
  expect([code, stderr]).toEqual([0, expect.stringContaining("downloading tiny/llama")]);
  const rows = Object.fromEntries(
    stdout
      .trimEnd()
      .split("\n")
      .map((row) => [row.slice(0, 24).trim(), row.slice(24)]),
  );
  expect(rows).toMatchObject({
    model: `tiny/llama at ${commitOf(base)} (main)`,
    license: "mit",
    files: expect.stringMatching(/^\d+, \d+ kB: \d+ kB came now, hashes as on the Hub$/),
    "left on the Hub": expect.stringContaining("pytorch_model.bin"),
    path: snapshot(),
    next: "zerogate train --model tiny/llama --data DATA.json --out RUN",
  });
  expect(`${stdout}${stderr}`).not.toContain("hf_secret");
  server.forget();

  expect((await run(train("named"))).code).toBe(0);
  const adapter = JSON.parse(readFileSync(at("named/adapter/adapter_config.json"), "utf8")) as object;
  expect(adapter).toMatchObject({ base_model_name_or_path: "tiny/llama", revision: commitOf(base) });
  expect(linesOf(at("named"), "receipt.jsonl")[0]).toMatchObject({ model: `tiny/llama@${commitOf(base)}` });
  expect(readFileSync(at("named/adapter/README.md"), "utf8")).toContain('base_model: "tiny/llama"');
  expect((await run(["verify", at("named")])).code).toBe(0);

  const found = await run([
    "generate",
    "--adapter",
    at("named/adapter"),
    "--prompt",
    "Name",
    "--engine",
    "reference",
    "--max-new-tokens",
    "2",
  ]);
  expect([found.code, found.stderr]).toEqual([
    0,
    expect.stringContaining("The base is tiny/llama, which the adapter names"),
  ]);
  expect((await run(["inspect", "tiny/llama"])).stdout).toContain("kind                    model\n");
  expect((await run(["resume", at("named")])).code).toBe(0);
  expect(server.asked).toEqual([]);

  const json = await run(["download", "tiny/llama", "--json"], { env });
  expect(json.json).toMatchObject([
    { kind: "download", name: "tiny/llama", commit: commitOf(base), path: snapshot(), fetched: [] },
  ]);
});

test("the run of a name has the bits of the run of a folder [M-hub-cache]", async () => {
  await run(["download", "tiny/llama"], { env });
  await run(train("by-name"));
  await run(train("by-folder", { "--model": place.base }));
  const paramsOf = (out: string) => linesOf(at(out), "receipt.jsonl").map((line) => line["params"]);
  expect(paramsOf("by-name")).toEqual(paramsOf("by-folder"));
  expect(linesOf(at("by-name"), "receipt.jsonl")[0]?.["hashes"]).toEqual(
    linesOf(at("by-folder"), "receipt.jsonl")[0]?.["hashes"],
  );
  expect(linesOf(at("by-folder"), "receipt.jsonl")[0]).not.toHaveProperty("model");
});

test("--download fetches what a command names, after everything else was found right [M-hub-download]", async () => {
  const wrong = await run([...train("other", { "--batch-size": "0" }), "--download"], { env });
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("--batch-size is 0")]);
  expect(server.asked).toEqual([]);
  expect((await run([...train("fetched"), "--download"], { env })).code).toBe(0);
  rmSync(env["HF_HOME"] ?? "", { recursive: true });
  const line = ["generate", "--adapter", at("fetched/adapter"), "--prompt", "x", "--engine", "reference"];
  const gone = await run(line, { env });
  expect([gone.code, gone.stderr.trimEnd()]).toEqual([
    2,
    `Cannot find the base: ${at("fetched/adapter")} names tiny/llama, which is neither a folder here nor in the Hub's cache: zerogate download tiny/llama@${commitOf(base)} fetches it, or give --model`,
  ]);
  const unasked = await run([...line, "--download"], { env });
  expect(unasked.code).toBe(2); // what an adapter names is not fetched: a stranger may have written it
  const config = at("run.yaml");
  writeFileSync(config, "model: tiny/llama\n");
  const eval1 = await run(
    [
      "eval",
      "--model",
      "tiny/llama",
      "--data",
      at("held.json"),
      "--engine",
      "reference",
      "--workers",
      "1",
      "--download",
    ],
    { env },
  );
  expect(eval1.code).toBe(0);
  const dry = await run(
    ["train", "--config", config, "--data", at("data.json"), "--out", at("dry"), "--dry-run", "--engine", "reference"],
    { env },
  );
  expect([dry.code, dry.stdout]).toEqual([0, expect.stringContaining(snapshot())]);
  rmSync(env["HF_HOME"] ?? "", { recursive: true });
  const lost = await run(["resume", at("fetched")], { env });
  expect(lost.code).toBe(2);
  const resumed = await run(["resume", at("fetched"), "--download", "--steps", "3", "--accept-change", "steps"], {
    env,
  });
  expect([resumed.code, resumed.stderr]).toEqual([0, expect.stringContaining("downloading tiny/llama")]);
});

test("download --to puts plain files into a folder, and overwrites none [M-hub-download]", async () => {
  const { code, stdout } = await run(["download", "tiny/llama", "--to", at("plain")], { env });
  expect([code, stdout]).toEqual([0, expect.stringContaining(`train --model ${at("plain")} --data`)]);
  const names = readdirSync(place.base).toSorted();
  expect(readdirSync(at("plain")).toSorted()).toEqual(names);
  for (const name of names) {
    expect(lstatSync(at(`plain/${name}`)).isFile(), name).toBe(true);
    expect(readFileSync(at(`plain/${name}`)).equals(readFileSync(join(place.base, name))), name).toBe(true);
  }
  expect((await run(["download", "tiny/llama", "--to", at("plain")], { env })).code).toBe(0);
  const before = readFileSync(at("plain/config.json"));
  for (const other of [Buffer.from("mine"), Buffer.alloc(before.length, 32)]) {
    writeFileSync(at("plain/config.json"), other);
    const refused = await run(["download", "tiny/llama", "--to", at("plain")], { env });
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("name another folder, or remove it")]);
    expect(readFileSync(at("plain/config.json")).equals(other)).toBe(true);
  }
  const one = await run(["download", "tiny/llama", "--to", at("one"), "--exclude", "*.json", "--json"], { env });
  expect(one.json).toMatchObject([{ path: at("one") }]);
  expect(readdirSync(at("one")).filter((name) => /json|tmp/.test(name))).toEqual([]);
});

test("a local folder of that name wins [M-hub-cache]", async () => {
  await run(["download", "tiny/llama"], { env });
  const before = process.cwd();
  mkdirSync(at("project/tiny"), { recursive: true });
  cpSync(place.base, at("project/tiny/llama"), { recursive: true });
  process.chdir(at("project"));
  try {
    const { stdout } = await run(["inspect", "tiny/llama", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ kind: "model", path: "tiny/llama" });
    expect((await run(train("local"))).code).toBe(0);
    const stored = JSON.parse(readFileSync(at("local/config.json"), "utf8")) as object;
    expect(stored).toMatchObject({ model: at("project/tiny/llama") });
  } finally {
    process.chdir(before);
  }
});

test("stopped by Ctrl-C a download ends with 130 and goes on with the same line [M-hub-download]", async () => {
  const large: ServedRepo = {
    id: "tiny/large",
    files: { "model.safetensors": Buffer.alloc(2 ** 20, 7), "config.json": Buffer.from("{}") },
  };
  server.repos.push(large);
  server.fault = ({ host }) => (host === "cdn" ? { dripMs: 20 } : undefined);
  const { runCli } = await import("../cli.ts");
  const { recorded } = await import("../../test/recorded.ts");
  const stop = new AbortController();
  let said = "";
  const context = {
    ...recorded(
      () => {},
      (text) => (said += text),
    ),
    stdin: process.stdin,
    env,
    signal: stop.signal,
    saveRequests: { count: 0 },
  };
  const ended = runCli(["download", "tiny/large"], context);
  await vi.waitUntil(() => (server.sent.get("model.safetensors") ?? 0) > 200_000, { timeout: 600_000 });
  stop.abort();
  expect(await ended).toBe(130);
  expect(said).toContain("Stopped. What came is kept: the same command goes on with it.");
  server.fault = () => undefined;
  expect((await run(["download", "tiny/large"], { env })).code).toBe(0);
  expect(server.sent.get("model.safetensors")).toBeLessThan(2 ** 20 + 200_000);
});

test("inspect says what a model of the Hub is before a download, and leaves nothing here [M-inspect-hub]", async () => {
  const here = JSON.parse((await run(["inspect", place.base, "--json"])).stdout) as Record<string, unknown>;
  mkdirSync(at("tmp"));
  vi.stubEnv("TMPDIR", at("tmp"));
  const { code, stdout, stderr } = await run(["inspect", "tiny/llama", "--json"], { env });
  expect(readdirSync(at("tmp"))).toEqual([]);
  expect([code, stderr.trimEnd()]).toEqual([
    0,
    `tiny/llama is not here: ${server.endpoint} is asked what it is; its weights are not fetched`,
  ]);
  expect(JSON.parse(stdout)).toEqual({
    ...here,
    path: "tiny/llama",
    commit: commitOf(base),
    license: "mit",
    download: expect.stringMatching(/^\d+ of \d+ files, \d+ kB$/),
    next: "zerogate download tiny/llama",
  });
  expect(here).toMatchObject({
    trainingMemory: expect.stringMatching(/ with the engine \w+ here: base .*, each of \d+ workers /),
  });
  expect(server.sent.get("model.safetensors")).toBeLessThanOrEqual(65_536);
  expect(existsSync(join(env["HF_HOME"] ?? "", "hub"))).toBe(false);

  server.repos.push({
    id: "tiny/mamba",
    files: { ...base.files, "config.json": Buffer.from('{"model_type": "mamba"}') },
  });
  const other = JSON.parse((await run(["inspect", "tiny/mamba", "--json"], { env })).stdout) as { problems: string[] };
  expect(other).toMatchObject({ kind: "model", path: "tiny/mamba", problems: [expect.stringContaining("mamba")] });
  expect(other).not.toHaveProperty("next");
  const offline = await run(["inspect", "tiny/mamba"], { env: { ...env, HF_HUB_OFFLINE: "1" } });
  expect([offline.code, offline.stderr]).toEqual([2, expect.stringContaining("HF_HUB_OFFLINE is set")]);
  const gone = await run(["inspect", "tiny/none"], { env });
  expect([gone.code, gone.stderr]).toEqual([2, expect.stringContaining("Cannot inspect tiny/none: 127.0.0.1")]);
});

test("inspect describes GGUF files and pickled weights of the Hub by parts of them [M-inspect-hub, M-bin]", async () => {
  const gguf = writeLlamaGguf(
    place.base,
    at("world"),
    {
      "tokenizer.ggml.model": ["string", "gpt2"],
      "tokenizer.ggml.tokens": ["array", "string", Array.from({ length: 3000 }, (_, i) => `a piece of text ${i}`)],
    },
    [1, 2],
  );
  const { tensors } = parseSafetensors(readFileSync(join(place.base, "model.safetensors")), "base");
  const { "model.safetensors": _, "pytorch_model.bin": __, ...others } = base.files;
  cpSync(place.base, at("pickled"), { recursive: true });
  rmSync(at("pickled/model.safetensors"));
  writeFileSync(at("pickled/pytorch_model.bin"), serializeTorchFile(tensors));
  const pickled = { ...others, "pytorch_model.bin": readFileSync(at("pickled/pytorch_model.bin")) };
  server.repos.push({ id: "tiny/gguf", files: { "world.gguf": readFileSync(gguf) }, isLfs: () => true });
  server.repos.push({ id: "tiny/pickled", files: pickled });
  const factsOf = async (path: string) =>
    JSON.parse((await run(["inspect", path, "--json"], { env })).stdout) as object;
  for (const [remote, here, next] of [
    ["tiny/gguf/world.gguf", gguf, undefined],
    ["tiny/pickled", at("pickled"), "zerogate download tiny/pickled --include 'pytorch_model*.bin'"],
  ] as const) {
    const { path: _path, next: own, ...local } = (await factsOf(here)) as { path: string; next?: string };
    expect(own === undefined).toBe(next === undefined);
    expect(await factsOf(remote)).toEqual({
      ...JSON.parse(JSON.stringify(local).replaceAll(here, remote.replace("/world.gguf", ":world.gguf"))),
      path: remote.replace("/world.gguf", ":world.gguf"),
      commit: expect.any(String),
      download: expect.stringMatching(/^\d+ of \d+ files, \d+ kB$/),
      ...(next !== undefined && { next }),
    });
  }
  expect(server.sent.get("world.gguf")).toBe(2 ** 17 + 8); // its header, and two divisors of its rotation
  expect(bytesOf(gguf)).toBeGreaterThan(1.5 * 2 ** 17);
  expect(server.sent.get("pytorch_model.bin")).toBeLessThan(bytesOf(at("pickled/pytorch_model.bin")) / 4);
});

test("estimate takes a name that is not here, for which config and tokenizer are asked [M-estimate-hub]", async () => {
  const line = (model: string) => [
    "estimate",
    "--model",
    model,
    "--data",
    at("data.json"),
    "--cache-dir",
    at("cache"),
    "--on",
    "2xA100",
    "--json",
  ];
  const remote = await run(line("tiny/llama"), { env });
  expect(remote.code).toBe(0);
  expect(remote.json).toEqual((await run(line(place.base))).json);
  expect(existsSync(join(env["HF_HOME"] ?? "", "hub"))).toBe(false);
});
