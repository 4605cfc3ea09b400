/** Model folders as people have them, through the command line: the hub's cache, links, pointers, `--no-links`. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base, tinyRun } from "./support/world.ts";

const folder = testFolder();
const at = (...path: string[]) => join(folder, ...path);
const shared = (name: string) => fileURLToPath(new URL(`../../shared/cases/${name}`, import.meta.url));
const reason = (name: string) =>
  existsSync(shared(name)) ? "" : ` (skipped: shared/cases/${name} is not on this machine)`;

/** The input of a case: with the base's own files that it leaves out, and its links, which are kept as text, as links. */
function inputOf(name: string): string {
  const input = at(name);
  cpSync(join(shared(name), "input"), input, { recursive: true });
  const left = readFileSync(join(shared(name), "FROM_BASE.txt"), "utf8");
  for (const [, file = "", to = ""] of left.matchAll(/^(\S+): .* \(input\/(\S+)\)$/gm)) {
    mkdirSync(dirname(join(input, to)), { recursive: true });
    cpSync(join(base, file), join(input, to));
  }
  for (const entry of readdirSync(input, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const text = readFileSync(path, "latin1");
    if (!/^(?:\.\.\/)+[\w./-]*blobs\/\w+$/.test(text)) continue;
    rmSync(path);
    symlinkSync(text, path);
  }
  return input;
}

const dryRun = (model: string, ...flags: string[]) =>
  zerogateHere(["train", ...tinyRun(folder, { "--model": model, "--out": at("dry") }), "--dry-run", ...flags], {
    cwd: folder,
  });

test.skipIf(reason("04-hub-cache-subfolder") !== "")(
  `a snapshot's subfolder in the hub's cache is a model, also without links that lead out [T-C2, T-case04]${reason("04-hub-cache-subfolder")}`,
  async () => {
    const model = join(inputOf("04-hub-cache-subfolder"), "models--org--tiny/snapshots/abc123/sub");
    for (const flags of [[], ["--no-links"]]) expect((await dryRun(model, ...flags)).code).toBe(0);
  },
);

test.skipIf(reason("05-hub-local-dir-links") !== "")(
  `weights linked into the hub's cache beside copied files are read, and refused with --no-links [T-C2, T-case05]${reason("05-hub-local-dir-links")}`,
  async () => {
    const model = join(inputOf("05-hub-local-dir-links"), "model");
    expect((await dryRun(model)).code).toBe(0);
    const refused = await dryRun(model, "--no-links");
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(
      /Cannot use .*model without following links: model.safetensors is a link to .*\/blobs\/ec51/,
    );
  },
);

test.skipIf(reason("07-lfs-pointer-weights") !== "")(
  `a Git LFS pointer in the place of weights is named with its real size [T-C3, T-case07]${reason("07-lfs-pointer-weights")}`,
  async () => {
    const refused = await dryRun(inputOf("07-lfs-pointer-weights"));
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(
      /model\.safetensors: it is a Git LFS pointer; the file itself \(4\.9 GB\) was not fetched: run `git lfs pull`/,
    );
  },
);

test("train, eval, generate, chat and verify follow links out of a folder unless --no-links [T-C2]", async () => {
  const model = at("linked");
  cpSync(base, model, { recursive: true });
  renameSync(join(model, "tokenizer.json"), at("away.json"));
  symlinkSync(at("away.json"), join(model, "tokenizer.json"));
  writeFileSync(at("data.json"), JSON.stringify([{ instruction: "a", input: "", output: "b" }]));
  const run = at("run");
  const trained = await zerogateHere(
    ["train", ...tinyRun(folder, { "--model": model, "--out": run, "--steps": "1" })],
    {
      cwd: folder,
    },
  );
  expect(trained, trained.stderr).toMatchObject({ code: 0 });
  const commands = [
    ["train", ...tinyRun(folder, { "--model": model, "--out": at("run-2") })],
    ["train", ...tinyRun(folder, { "--out": at("run-3"), "--init-adapter": at("adapter") })],
    ["eval", "--model", model, "--data", "data.json"],
    ["eval", "--model", base, "--data", "data.json", "--adapter", at("adapter")],
    ["generate", "--model", model, "--prompt", "a", "--max-new-tokens", "1"],
    ["generate", "--model", base, "--adapter", at("adapter"), "--prompt", "a", "--max-new-tokens", "1"],
    ["chat", "--model", model],
    ["verify", run],
  ];
  cpSync(join(run, "adapter"), at("adapter"), { recursive: true });
  renameSync(at("adapter", "adapter_config.json"), at("config-away.json"));
  symlinkSync(at("config-away.json"), at("adapter", "adapter_config.json"));
  for (const command of commands) {
    const refused = await zerogateHere([...command, "--no-links"], { cwd: folder });
    expect(refused, command.join(" ")).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(
      /without following links: (?:tokenizer|adapter_config)\.json is a link to .*, outside of the folder/,
    );
  }
  for (const command of commands.filter(([name]) => name !== "train")) {
    expect(await zerogateHere(command, { cwd: folder }), command.join(" ")).toMatchObject({ code: 0 });
  }
  for (const name of ["run-2", "run-3"]) expect(existsSync(at(name))).toBe(false);
});
