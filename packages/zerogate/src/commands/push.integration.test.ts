/** `zerogate push` to a Hub of this machine: what goes there, what does not, who is asked. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type HubServer, openHubServer, sha256 } from "../../../hub/test/hub_server.ts";
import { linesOf, openPlace, sixSteps } from "../../test/here.ts";
import { recorded } from "../../test/recorded.ts";
import { runCli } from "../cli.ts";

const place = openPlace();
const { at, run } = place;
let server: HubServer;
const env = () => ({ HF_HOME: at("hf"), HF_ENDPOINT: server.endpoint, HF_TOKEN: "hf_secret" });

beforeAll(async () => {
  server = await openHubServer();
  expect((await run(sixSteps(place, "run", { "--steps": "4", "--eval-every": "2", "--lr": "0.01" }))).code).toBe(0);
});
afterAll(async () => await server.close());
beforeEach(() => {
  server.fault = () => undefined;
  server.forget();
  server.pushes.created.length = 0;
  server.pushes.commits.length = 0;
  server.pushes.uploads.clear();
});

/** The command with someone who types this. */
async function typed(text: string, ...args: string[]) {
  let [stdout, stderr] = ["", ""];
  const code = await runCli(["push", ...args], {
    ...recorded(
      (more) => (stdout += more),
      (more) => (stderr += more),
    ),
    stdin: Readable.from(text === "" ? [] : [text]),
    env: env(),
    signal: new AbortController().signal,
    saveRequests: { count: 0 },
  });
  return { code, stdout, stderr };
}

test("a run is pushed with settings, template and card, after its files were shown and y was typed [M-hub-push]", async () => {
  const { code, stdout, stderr } = await typed("y\n", at("run"), "me/adapter", "--base", "tiny/llama");
  expect([code, stderr]).toEqual([0, expect.stringContaining("Push these files? [y/N]")]);
  const [commit, ...others] = server.pushes.commits;
  expect([commit?.repo, commit?.revision, commit?.isPullRequest, others]).toEqual(["me/adapter", "main", false, []]);
  expect([server.pushes.created, server.pushes.isPrivate]).toEqual([["me/adapter"], false]);
  const { files = {}, lfs = {} } = commit ?? {};
  expect([...Object.keys(files), ...Object.keys(lfs)].toSorted()).toEqual([
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "zerogate.json",
  ]);
  const weights = readFileSync(at("run/adapter/adapter_model.safetensors"));
  expect(lfs["adapter_model.safetensors"]).toBe(sha256(weights));
  expect(server.pushes.uploads.get(sha256(weights))?.equals(weights)).toBe(true);
  expect(JSON.parse(files["adapter_config.json"] ?? "")).toMatchObject({
    base_model_name_or_path: "tiny/llama",
    revision: null,
  });
  const card = files["README.md"] ?? "";
  const receipt = linesOf(at("run"), "receipt.jsonl");
  expect(card).toContain('base_model: "tiny/llama"');
  expect(card).toMatch(/^Taken from step \d of 4/m);
  expect(card).toMatch(/^\| 4 \| \d\.\d{4} \|$/m);
  expect(card).toContain(`its last link \`${String(receipt.at(-1)?.["chain"])}\``);
  expect(card).toMatch(/^zerogate train --model BASE --data DATA --out RUN .*--steps 4.*--lr 0\.01/m);
  for (const shown of ["README.md", "adapter_config.json", "adapter_model.safetensors", "zerogate.json"])
    expect(stderr).toContain(shown);
  expect(stdout).toContain(`4 files to ${server.endpoint}/me/adapter, which is new`);
  // Neither paths of this machine nor the token leave it, but for the Hub itself.
  expect(`${card}${JSON.stringify(files)}`).not.toContain(at(""));
  expect(`${stdout}${stderr}${JSON.stringify(server.pushes.commits)}`).not.toContain("hf_secret");
  const tokens = (host: string) =>
    new Set(server.asked.filter((asked) => asked.host === host).map((asked) => asked.authorization));
  expect([tokens("hub"), tokens("cdn")]).toEqual([new Set(["Bearer hf_secret"]), new Set([undefined])]);
});

test("without a y nothing is pushed [M-hub-push]", async () => {
  for (const text of ["n\n", "\n", ""]) {
    const { code, stderr } = await typed(text, at("run"), "me/adapter");
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining("Cannot push to me/adapter: it was not answered with y: nothing was pushed"),
    ]);
  }
  expect(server.asked).toEqual([]);
});

test("an adapter folder goes to a private repository, or as a pull request to another's [M-hub-push]", async () => {
  cpSync(at("run/adapter"), at("mine"), { recursive: true });
  writeFileSync(join(at("mine"), "diary.txt"), "private");
  const first = await run(["push", at("mine"), "me/mine", "--private", "--yes", "--json"], { env: env() });
  expect(first.json).toMatchObject([{ kind: "push", url: `${server.endpoint}/me/mine`, isNew: true }]);
  expect(first.stderr).toContain(
    "a folder of this machine, which is left out: --base OWNER/NAME names it as on the Hub",
  );
  expect(server.pushes.isPrivate).toBe(true);
  expect(JSON.parse(server.pushes.commits[0]?.files["adapter_config.json"] ?? "")).toMatchObject({
    base_model_name_or_path: null,
  });
  expect(Object.keys(server.pushes.commits[0]?.files ?? {})).not.toContain("diary.txt");
  const second = await run(["push", at("mine"), "me/mine", "--yes", "--json"], { env: env() });
  expect(second.json).toMatchObject([{ isNew: false }]);
  const asked = await run(["push", at("mine"), "them/theirs", "--create-pr", "--yes"], { env: env() });
  expect([asked.code, asked.stdout]).toEqual([0, expect.stringContaining("pull request            ")]);
  expect(server.pushes.created).toEqual(["me/mine"]);
  expect(server.pushes.commits.at(-1)).toMatchObject({ repo: "them/theirs", isPullRequest: true });
});

test.each([
  [401, 2, "the Hub does not take this token: set HF_TOKEN to a token that may write"],
  [403, 2, "this token may not write there"],
  [404, 2, "the Hub has no such repository, or you may not see it"],
  [500, 1, "Cannot push to me/other: "],
])("a Hub that answers %i is said what to do about [M-hub-push, M-hub-refusals]", async (status, code, message) => {
  server.fault = () => ({ status, headers: { "content-type": "application/json" } });
  const answer = await run(["push", at("run"), "me/other", "--yes"], { env: env() });
  expect([answer.code, answer.stderr]).toEqual([code, expect.stringContaining(message)]);
  expect(answer.stderr).not.toContain("hf_secret");
});

test("who is nobody, offline, or names no repository or adapter is told before anything is asked [M-hub-push, M-hub-refusals]", async () => {
  const says = async (args: readonly string[], more: Readonly<Record<string, string>> = {}) => {
    const { code, stderr } = await run(["push", ...args], { env: { ...env(), ...more } });
    expect(code).toBe(2);
    return stderr;
  };
  expect(await says([at("run"), "me/x", "--yes"], { HF_TOKEN: "" })).toContain(
    "the Hub has to know who you are: set HF_TOKEN",
  );
  expect(await says([at("run"), "me/x", "--yes"], { HF_HUB_OFFLINE: "1" })).toContain("HF_HUB_OFFLINE is set");
  expect(await says([at("run"), "adapter", "--yes"])).toContain(
    '"adapter" is no name on the Hub, needed is OWNER/NAME',
  );
  expect(await says([at("run"), "me/x", "--base", "../up", "--yes"])).toContain('"../up" is no name on the Hub');
  expect(await says([place.base, "me/x", "--yes"])).toContain("there is no adapter_config.json in it");
  cpSync(at("run/adapter"), at("damaged"), { recursive: true });
  writeFileSync(join(at("damaged"), "adapter_model.safetensors"), "{}");
  expect(await says([at("damaged"), "me/x", "--yes"])).toContain("adapter_model.safetensors");
  expect(server.asked).toEqual([]);
});
