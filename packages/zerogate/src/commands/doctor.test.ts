/** Doctor in one screen, with the verdict first; all of it in JSON. */

import type { MachineCheck } from "@zerogate/core/engine";
import { describedEngine, namesOfEngines } from "@zerogate/run-config";
import { describe, expect, test } from "vitest";
import { run } from "../../test/run_cli.ts";
import { visibleWidth } from "../status/fit.ts";
import { COLUMNS, fullText, MAX_ROWS, screenOf, type Verdict } from "./doctor_screen.ts";

const rowsIn = (text: string) => text.trimEnd().split("\n");

function expectScreen(text: string): void {
  const rows = rowsIn(text);
  expect(rows.length).toBeLessThanOrEqual(MAX_ROWS);
  for (const row of rows) expect(visibleWidth(row), row).toBeLessThanOrEqual(COLUMNS);
}

describe("on this machine", async () => {
  const [shown, json, verbose] = await Promise.all([
    run("doctor"),
    run("doctor", "--json"),
    run("doctor", "--verbose"),
  ]);
  const told = JSON.parse(json.stdout) as { ok: boolean; auto: Verdict; checks: MachineCheck[] };

  test("it is one screen that begins with the verdict [T-D10]", () => {
    expectScreen(shown.stdout);
    expect([COLUMNS, MAX_ROWS]).toEqual([80, 24]);
    const [first, auto, bf16] = rowsIn(shown.stdout);
    const [taken = ""] = namesOfEngines(
      ({ missing = [], automaticParameters = 0 }) => missing.length === 0 && automaticParameters > 0,
    );
    const hasBf16 = describedEngine(taken)?.traits(taken).computes.includes("bf16") === true;
    expect(told.auto).toMatchObject({ engine: taken, hasBf16 });
    expect(first).toContain(taken);
    expect(auto).toMatch(new RegExp(`^ {4}auto +${taken}`));
    expect(bf16).toMatch(
      hasBf16
        ? /^ {4}bf16 +yes, for bases in bf16, in about half the time$/
        : /^ {4}bf16 +no, this engine computes in f32 only/,
    );
  });

  test("JSON has every check with name, verdict, all that was found and what to type [T-D10]", () => {
    const names = told.checks.map(({ name }) => name);
    const always = [
      "Node",
      "processor",
      "memory",
      "disk",
      "cache folder",
      "Hub cache",
      "engine cpu",
      "engine wasm",
      "engine reference",
      "engine cuda",
    ];
    expect(names).toEqual(expect.arrayContaining(always));
    expect(new Set(names).size).toBe(names.length);
    for (const check of told.checks) {
      const { name, ok, found, brief = "", advice = "" } = check;
      expect(Object.keys(check).filter((key) => !["name", "ok", "found", "brief", "advice"].includes(key))).toEqual([]);
      expect([typeof name, typeof ok, typeof found, typeof brief, typeof advice]).toEqual([
        "string",
        "boolean",
        "string",
        "string",
        "string",
      ]);
      expect(ok || advice !== "", name).toBe(true);
    }
    expect(told.ok).toBe(told.checks.every(({ ok }) => ok));
    expect(json.code).toBe(told.ok ? 0 : 1);
  });

  test("--verbose and JSON say where a library was looked for, the screen does not [T-D10]", () => {
    const cuda = told.checks.find(({ name }) => name === "engine cuda");
    expect(verbose.stdout).toContain(cuda?.found);
    expect(rowsIn(verbose.stdout).length).toBeGreaterThanOrEqual(told.checks.length);
    expect(shown.stdout).toContain(String(cuda?.brief).slice(0, 40));
  });
});

describe("whatever is wrong", () => {
  const verdict: Verdict = {
    engine: "cpu",
    detail: "level avx2",
    largestParameters: undefined,
    hasBf16: false,
    onGpus: [],
    passedOver: [{ engine: "cuda", missing: ["x"] }],
  };
  const many = (count: number, make: (i: number) => MachineCheck) => Array.from({ length: count }, (_, i) => make(i));
  const gpu =
    (ok: boolean) =>
    (i: number): MachineCheck => ({
      name: `GPU ${i}`,
      ok,
      found: `NVIDIA ${"very ".repeat(30)}long: works`,
      ...(!ok && { advice: "ask nvidia-smi" }),
    });

  test.each<[string, MachineCheck[]]>([
    ["16 GPUs that work", many(16, gpu(true))],
    ["16 GPUs that do not", many(16, gpu(false))],
    [
      "everything",
      many(40, (i) => ({
        name: `check ${i}`,
        ok: i % 2 === 0,
        found: "f\nound \u001b[31m".repeat(50),
        advice: "do\nthis ".repeat(60),
      })),
    ],
    ["wide characters", many(3, () => ({ name: "漢字".repeat(20), ok: true, found: "漢字".repeat(60) }))],
    ["nothing", []],
  ])("it stays one screen: %s [T-D10]", (_, checks) => {
    const text = screenOf("0.2.0", verdict, checks);
    expectScreen(text);
    expect(text).not.toContain("\u001b");
    const bad = checks.filter(({ ok }) => !ok);
    for (const { name } of bad.slice(0, 8)) expect(text).toContain(`no  ${name}`);
    expect(fullText("0.2.0", verdict, checks)).toContain(
      checks[0]?.found ?? "ready to train here, with the engine cpu",
    );
  });

  test("the first row says whether to go on, and what auto passes over is named [T-D10]", () => {
    const [ready, auto, bf16] = rowsIn(screenOf("1", verdict, [{ name: "Node", ok: true, found: "20" }]));
    expect(ready).toBe("zerogate 1: ready to train here, with the engine cpu");
    expect(auto).toBe("    auto             cpu (level avx2); cuda does not run here");
    expect(bf16).toBe("    bf16             no, this engine computes in f32 only");
    const [one] = rowsIn(screenOf("1", verdict, [{ name: "Node", ok: false, found: "18", advice: "newer" }]));
    expect(one).toBe("zerogate 1: one check is not ok, --engine auto takes cpu");
    const none = { ...verdict, engine: undefined };
    expect(rowsIn(screenOf("1", none, []))[0]).toBe("zerogate 1: not ready to train, no fast engine runs here");
    const gpus = { ...verdict, onGpus: ["cuda"], passedOver: [] };
    expect(rowsIn(screenOf("1", gpus, []))[1]).toBe("    auto             cpu (level avx2); for GPUs: --engine cuda");
    const small = { ...verdict, engine: "wasm", largestParameters: 1e8 };
    expect(rowsIn(screenOf("1", small, []))[1]).toContain("bases of up to 100,000,000 parameters");
  });
});
