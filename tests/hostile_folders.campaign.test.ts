/**
 * Whole folders from a stranger, each with one thing that would read elsewhere, run code, hang or take all memory:
 * every one is refused with an `InputError`, by a process whose time and memory are bounded. What the parsers do with
 * each single fault is tested beside them.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { adapterLayout, adaptionPromptConfig, initParameters } from "@zerogate/core";
import { readModelConfig, saveAdapter, writeAdapterFile } from "@zerogate/core/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";
import { faults } from "./support/folder_faults.ts";
import { base } from "./support/world.ts";

const folder = testFolder();
const at = (...path: string[]) => join(folder, ...path);
const reader = fileURLToPath(new URL("support/read_folder.mjs", import.meta.url));

interface Answer {
  readonly name: string;
  readonly message: string;
  readonly peakMiB: number;
}

let child: ChildProcess;
let ask: (question: object) => Promise<Answer>;

beforeAll(async () => {
  const config = await readModelConfig(base);
  const shape = { promptLength: 3, adaptedLayers: 2, gateSharing: "scalar", gateActivation: "none" } as const;
  const layout = adapterLayout(shape, config);
  const fields = { adapterLen: 3, adapterLayers: 2, taskType: "CAUSAL_LM", baseModelNameOrPath: "tiny" } as const;
  await saveAdapter(at("adapter"), {
    config: adaptionPromptConfig(fields),
    layout,
    params: initParameters(layout.table, 1),
  });
  cpSync(at("adapter"), at("followed"), { recursive: true });
  mkdirSync(at("file"));
  const perHead = adapterLayout({ ...shape, gateSharing: "per-head" }, config);
  await writeAdapterFile(
    at("sound.pth"),
    { layout: perHead, params: initParameters(perHead.table, 1).fill(0.5) },
    "original",
  );
  for (const what of ["model", "tokenizer"]) cpSync(base, at(what), { recursive: true });
  child = spawn(process.execPath, [reader, base], { stdio: ["pipe", "pipe", "inherit"] });
  if (!child.stdout || !child.stdin) throw new Error("the reader has no pipes");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { stdin } = child;
  ask = async (question) => {
    stdin.write(`${JSON.stringify(question)}\n`);
    const { value } = (await lines.next()) as { value?: string };
    if (value === undefined) throw new Error("the reader died");
    return JSON.parse(value) as Answer;
  };
});
afterAll(() => child.kill("SIGKILL"));

/** Of a process that also loads engines' libraries; the longest file read is a header or tokenizer of 100 MB, as bytes and as text. */
const MOST_MIB = 700;
const TIME_LIMIT_MS = 30_000;

describe.each(Object.entries(faults))("a hostile %s is refused [D5]", (kind, cases) => {
  test("and a sound one is not", async () => {
    const path = kind === "file" ? at("sound.pth") : at(kind);
    expect(await ask({ reader: kind, path })).toMatchObject({ name: "accepted", message: "" });
  });

  test.each(Object.entries(cases))(
    "%s",
    async (what, [spoil, says]) => {
      const copy = at(`${kind}-${Object.keys(cases).indexOf(what)}`);
      cpSync(at(kind), copy, { recursive: true });
      spoil(copy);
      const answer = await ask({ reader: kind, path: kind === "file" ? join(copy, "a.pth") : copy });
      rmSync(copy, { recursive: true });
      expect(answer).toMatchObject({ name: "InputError" });
      expect(answer.message).toMatch(says);
      expect(answer.peakMiB).toBeLessThan(MOST_MIB);
    },
    TIME_LIMIT_MS,
  );
});
