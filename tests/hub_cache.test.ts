/** One cache for two programs: what `zerogate download` wrote Python's huggingface_hub finds, and the other way round. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { commitOf, type HubServer, openHubServer, type ServedRepo } from "../packages/hub/test/hub_server.ts";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { absentModules, python } from "./support/python.ts";

const absent = absentModules("huggingface_hub");
const cwd = testFolder();
const base = new URL("../packages/trainer/world/base/", import.meta.url);
const repo: ServedRepo = {
  id: "tiny/world",
  files: Object.fromEntries(readdirSync(base).map((file) => [file, readFileSync(new URL(file, base))])),
};
const data: ServedRepo = {
  id: "tiny/data",
  kind: "dataset",
  files: { "data/train.jsonl": Buffer.from("{}\n"), "load.py": Buffer.from("1") },
};

let server: HubServer;
beforeAll(async () => {
  server = await openHubServer(repo, data);
});
afterAll(async () => await server.close());

const envOf = (home: string) => ({ HF_HOME: join(cwd, home), HF_ENDPOINT: server.endpoint, HF_HUB_DISABLE_XET: "1" });

/** Runs a script of Python; what it prints. */
async function ask(home: string, script: string, more: Readonly<Record<string, string>> = {}): Promise<string> {
  const env = {
    ...process.env,
    ...envOf(home),
    HF_HUB_DISABLE_TELEMETRY: "1",
    NO_PROXY: "127.0.0.1,localhost",
    ...more,
  };
  const { stdout } = await promisify(execFile)(python, ["-c", script], { env });
  return stdout.trim();
}

describe.skipIf(absent !== "")(`huggingface_hub${absent}`, () => {
  test("finds what zerogate download wrote, without asking anybody [M-hub-cache]", async () => {
    for (const line of [
      ["download", "tiny/world"],
      ["download", "tiny/data", "--dataset"],
    ]) {
      const { code, stderr } = await zerogateHere(line, { cwd, env: envOf("ours") });
      expect([code, stderr]).toEqual([0, expect.any(String)]);
    }
    const script = [
      "import huggingface_hub as h",
      "print(h.snapshot_download('tiny/world', local_files_only=True))",
      "print(h.hf_hub_download('tiny/world', 'model.safetensors', local_files_only=True))",
      "print(h.snapshot_download('tiny/data', repo_type='dataset', local_files_only=True))",
      "info = h.scan_cache_dir()",
      "print(len(info.repos), [str(w) for w in info.warnings])",
      "print(sorted(f.file_name for r in info.repos for v in r.revisions for f in v.files))",
    ].join("\n");
    const printed = (await ask("ours", script, { HF_HUB_OFFLINE: "1" })).split("\n");
    const hub = join(cwd, "ours/hub");
    const snapshot = join(hub, "models--tiny--world/snapshots", commitOf(repo));
    expect(printed.slice(0, 4)).toEqual([
      snapshot,
      join(snapshot, "model.safetensors"),
      join(hub, "datasets--tiny--data/snapshots", commitOf(data)),
      "2 []",
    ]);
    expect(printed[4]).toContain("'train.jsonl'");
    expect(printed[4]).not.toContain("load.py");
  });

  test("writes what zerogate finds under the name [M-hub-cache]", async () => {
    await ask("theirs", "import huggingface_hub as h; h.snapshot_download('tiny/world')");
    server.forget();
    vi.stubEnv("HF_HOME", join(cwd, "theirs"));
    const { code, stdout } = await zerogateHere(["inspect", "tiny/world", "--json"], { cwd, env: envOf("theirs") });
    vi.unstubAllEnvs();
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      kind: "model",
      path: join(cwd, "theirs/hub/models--tiny--world/snapshots", commitOf(repo)),
      problems: [],
    });
    expect(server.asked).toEqual([]);
    const again = await zerogateHere(["download", "tiny/world", "--json"], { cwd, env: envOf("theirs") });
    expect(again.json).toMatchObject([{ fetched: [] }]);
  });
});
