/** The two ways out of the command: a reader that leaves or a full disk ends no run, and no stranger's text steers a terminal. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { adapterLayout, adaptionPromptConfig, initParameters } from "@zerogate/core";
import { readModelConfig, saveAdapter } from "@zerogate/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder, zerogate } from "./support/cli.ts";
import { bin, noFull, onFullDisk } from "./support/full_disk.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, base, records, tinyRun } from "./support/world.ts";

const folder = testFolder();
const flags = tinyRun(folder, { "--steps": "3", "--workers": "1", "--engine": "wasm" });

const hasScript = spawnSync("script", ["--version"]).status === 0;
const noScript = hasScript ? "" : " (skipped: script is not installed)";

beforeAll(async () => {
  const whole = await zerogate(["train", ...flags, "--out", "whole"], { cwd: folder });
  expect(whole, whole.stderr).toMatchObject({ code: 0 });
});

describe.skipIf(noFull !== "")(`a full disk under the output${noFull}`, () => {
  test("costs a run one warning, in its log too, and no bit [T-B4]", async () => {
    const { code, stderr } = await onFullDisk(folder, ["train", ...flags, "--out", "full", "--json"]);
    expect(code, stderr).toBe(0);
    const warning = /stdout cannot be written: ENOSPC: [^\n]*\. The run goes on/g;
    expect(stderr.match(warning)).toHaveLength(1);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(readFileSync(join(folder, "full", "log.jsonl"), "utf8").match(warning)).toHaveLength(1);
    expect(adapterHash(join(folder, "full"))).toBe(adapterHash(join(folder, "whole")));
  });

  test("also under the messages costs a run nothing [T-B4]", async () => {
    const { code } = await onFullDisk(folder, ["train", ...flags, "--out", "mute", "--json"], ["stdout", "stderr"]);
    expect(code).toBe(0);
    expect(adapterHash(join(folder, "mute"))).toBe(adapterHash(join(folder, "whole")));
  });

  test("is what a run that has nothing left to write says at its end [T-B4]", async () => {
    const { code, stderr } = await onFullDisk(folder, ["train", ...flags, "--out", "text"]);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^warning: stdout cannot be written: ENOSPC: .*\. The run goes on/m);
  });

  test.each([["inspect", base], ["train", ...flags, "--out", "never", "--dry-run", "--json"], ["--version"]])(
    "ends a command that has only that to do with 1 and one line: %s %s [T-B4]",
    async (...args) => {
      const { code, stderr } = await onFullDisk(folder, args);
      expect(code, stderr).toBe(1);
      expect(stderr).toMatch(/^Cannot write the output: ENOSPC: no space left on device, write$/m);
      expect(stderr).not.toMatch(/\n {4}at |node:|throw/);
    },
  );
});

test("a reader that leaves in the middle of an answer is named, without a stack [T-B4]", async () => {
  const asked = ["generate", "--model", base, "--prompt", "a", "--max-new-tokens", "60"];
  const left = await zerogate(asked, {
    cwd: folder,
    onStart() {},
    onLine(_line, _send, leave) {
      leave();
    },
  });
  expect([0, 1]).toContain(left.code); // 0 if all of it was in the pipe already
  const hidden = await new Promise<{ code: number | null; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, [bin, ...asked], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("close", (code) => resolve({ code, stderr }));
  });
  expect(hidden.code).toBe(1);
  expect(hidden.stderr).toMatch(/^Cannot write the output: its reader has left \(write EPIPE\)$/m);
});

test("what a run and its resume warn of before they begin is in its log [T-B12]", async () => {
  const file = join(folder, "unanswered.json");
  writeFileSync(
    file,
    JSON.stringify([...records("train.json", 40), { instruction: "Say nothing.", input: "", output: "" }]),
  );
  const short = ["train", ...flags, "--data", file, "--out", "cut", "--save-every", "1"];
  const stopped = await zerogate(short, {
    cwd: folder,
    onLine: (line, send) => line.includes("starting workers") && send("SIGINT"),
  });
  const log = () =>
    readFileSync(join(folder, "cut", "log.jsonl"), "utf8").match(/record of data has no answer but its end/g)?.length;
  expect(stopped.stderr).toMatch(/warning: 1 record of data has no answer but its end/);
  expect(log()).toBe(1);
  const resumed = await zerogateHere(["resume", "cut"], { cwd: folder });
  expect(resumed, resumed.stderr).toMatchObject({ code: 0 });
  expect(log()).toBe(2);
});

/** What steers a terminal: a sequence of each control set, marks that turn writing, a line of its own. */
const hostile = "x\u001b[2J\u001b]0;owned\u0007\u009b2J\u202e\u2066\u2028y";
const controls = ["\\0-\\x08", "\\x0b-\\x1f", "\\x7f-\\x9f"];
const steering = new RegExp(`[${controls.join("")}\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]`);

describe("a stranger's adapter", () => {
  const forged = `${hostile}\nmine/adapter  5 × 10  scalar  7,680  base  0123456789ab`;
  const name = `evil${hostile.replaceAll("/", "")}\nmine`;

  beforeAll(async () => {
    const model = await readModelConfig(base);
    const layout = adapterLayout(
      { promptLength: 3, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" },
      model,
    );
    const config = adaptionPromptConfig({
      adapterLen: 3,
      adapterLayers: 2,
      taskType: "CAUSAL_LM",
      baseModelNameOrPath: forged,
    });
    for (const place of [join("zoo", name), "stranger"]) {
      mkdirSync(join(folder, place), { recursive: true });
      await saveAdapter(join(folder, place, "adapter"), {
        config,
        layout,
        params: initParameters(layout.table, 1),
        metadata: { [hostile]: forged },
      });
    }
    writeFileSync(join(folder, "zoo", name, "adapter_config.json"), `{"peft_type": ${JSON.stringify(forged)}}`);
  });

  test.each([
    ["adapters show", ["adapters", "show", "stranger/adapter"]],
    ["adapters list", ["adapters", "list", "zoo"]],
    ["adapters diff", ["adapters", "diff", "stranger/adapter", "whole/adapter"]],
    ["inspect", ["inspect", "stranger/adapter"]],
    ["inspect of its tensors", ["inspect", "stranger/adapter/adapter_model.safetensors"]],
    ["inspect of a broken one", ["inspect", join("zoo", name)]],
    ["convert", ["convert", "stranger/adapter", "out.pth", "--to", "litgpt"]],
    ["convert by a hostile name", ["convert", join("zoo", name, "adapter"), "out2.pth", "--to", "original"]],
    ["eval of it as a base", ["eval", "--model", join("zoo", name), "--data", "held.json"]],
  ])("shows what steers a terminal and obeys none of it: %s [T-B6]", async (_, args) => {
    const { stdout, stderr } = await zerogateHere(args, { cwd: folder });
    expect(stdout + stderr).not.toBe("");
    expect(stdout).not.toMatch(steering);
    expect(stderr).not.toMatch(steering);
  });

  test("is one row of the list, with anything in its names [T-B6]", async () => {
    const { stdout } = await zerogateHere(["adapters", "list", "zoo"], { cwd: folder });
    const rows = stdout.trimEnd().split("\n");
    expect(rows).toHaveLength(3); // the head, the one whose config is broken, and the one below it
    expect(rows.filter((row) => row.startsWith("mine"))).toEqual([]);
    const shown = await zerogateHere(["adapters", "show", "stranger/adapter"], { cwd: folder });
    expect(shown.stdout.split("\n").filter((line) => line.startsWith("mine"))).toEqual([]);
    const inspected = await zerogateHere(["inspect", "stranger/adapter"], { cwd: folder });
    expect(inspected.stdout.split("\n").filter((line) => line.startsWith("mine"))).toEqual([]);
  });

  test("is written in JSON character by character, in ASCII where that is needed [T-B6]", async () => {
    const { stdout, json } = await zerogateHere(["adapters", "show", "stranger/adapter", "--json"], { cwd: folder });
    expect(stdout).not.toMatch(steering);
    expect(json[0]).toMatchObject({ config: { baseModelNameOrPath: forged } });
  });
});

test.skipIf(!hasScript)(
  `an answer steers no terminal, and a pipe gets it byte for byte${noScript} [T-B6]`,
  async () => {
    // The base with another tokenizer: where the model means a line break, it says an escape.
    const model = join(folder, "escaping");
    cpSync(base, model, { recursive: true });
    const tokenizer = readFileSync(join(model, "tokenizer.json"), "utf8");
    const swapped = JSON.stringify(JSON.parse(tokenizer)).replace(/[\u010a\u011b]/g, (c) =>
      c === "\u010a" ? "\u011b" : "\u010a",
    );
    writeFileSync(join(model, "tokenizer.json"), swapped);
    const asked = ["generate", "--model", model, "--prompt", "a", "--max-new-tokens", "5", "--engine", "wasm"];
    const piped = await zerogateHere(asked, { cwd: folder });
    expect(piped.stdout).toBe("ppy\u001bWrite the\n");
    const line = [process.execPath, bin, ...asked].map((word) => `'${word}'`).join(" ");
    const { CI: _, ...inherited } = process.env;
    const env = { ...inherited, NO_COLOR: "1" };
    const terminal = execFileSync("script", ["-qec", line, "/dev/null"], {
      cwd: folder,
      encoding: "utf8",
      env,
      stdio: ["ignore", "pipe", "ignore"],
    });
    expect(terminal).toContain("ppy\\u001bWrite the");
    expect(terminal.replaceAll("\r\n", "\n")).not.toMatch(steering);
  },
);
