/** `zerogate rehearse` on a base of which only config and tokenizer are there. */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { openPlace, sixSteps } from "../../test/here.ts";

const place = openPlace();
const { at } = place;
cpSync(place.base, at("unfetched"), { recursive: true });
rmSync(join(at("unfetched"), "model.safetensors"));
mkdirSync(at("temporary"));
beforeAll(() => void vi.stubEnv("TMPDIR", at("temporary")));
afterAll(() => void vi.unstubAllEnvs());

const rehearse = (...more: string[]) =>
  place.run([
    "rehearse",
    ...Object.entries({
      "--model": at("unfetched"),
      "--data": at("data.json"),
      "--cache-dir": at("cache"),
      "--batch-size": "8",
      "--max-length": "128",
      "--cell-tokens": "256",
      "--cell-multiple": "4",
      "--steps": "16",
    }).flat(),
    ...more,
  ]);

test("four devices are rehearsed without weights; one is lost half-way, the run goes on, and nothing stays", async () => {
  const { code, json, stderr } = await rehearse("--devices", "4", "--cell-ms", "40", "--json");
  expect([code, stderr]).toEqual([0, expect.not.stringContaining("weights")]);
  const [facts] = json as { steps: { step: number; stepMs: number; cellMs: number; leaderMs: number }[] }[];
  expect(facts).toMatchObject({ devices: 4, hosts: 1, parameters: 161, lostAt: [9] });
  expect(facts?.steps.map(({ step }) => step)).toEqual([6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
  for (const { stepMs, cellMs, leaderMs } of facts?.steps ?? []) {
    expect(cellMs).toBeGreaterThan(1);
    expect(stepMs).toBeGreaterThan(cellMs); // a device waits for as long as its cell takes
    expect(leaderMs).toBeGreaterThan(0);
    expect(leaderMs).toBeLessThan(stepMs);
  }
  expect(readdirSync(at("temporary"))).toEqual([]);
  expect(existsSync("run")).toBe(false);
});

test("a person reads cells, step, leader and busy share; --no-kill loses nobody, and a data sheet says the speed", async () => {
  const { code, stdout } = await rehearse("--on", "2xA100", "--no-kill");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^2 devices, 161 trained numbers, 10 steps counted\n/);
  for (const part of ["cells", "step", "leader", "busy", "processor", "tokens/s"]) {
    expect(stdout).toMatch(new RegExp(`^${part} +\\d`, "m"));
  }
});

test("what means nothing is refused at once", async () => {
  const { code, stderr } = await rehearse("--devices", "0", "--cell-ms", "x", "--on", "8xFoo");
  expect(code).toBe(2);
  expect(stderr).toContain('--devices is "0", expected a whole number of at least 1 and at most 256');
  expect(stderr).toContain('--cell-ms is "x"');
  expect(stderr).toContain('--on is "8xFoo", expected a number and a device as in 8xH100');
  const both = await rehearse("--cell-ms", "3", "--on", "8xH100");
  expect([both.code, both.stderr]).toEqual([2, expect.stringContaining("--cell-ms and --on both say")]);
  const few = await rehearse("--steps", "10");
  expect([few.code, few.stderr]).toEqual([2, expect.stringContaining("--steps is 10, more than 10 are needed")]);
});

test("no config can name the devices of a rehearsal, and none opens without a cost", async () => {
  const path = fileURLToPath(new URL("../../../trainer/dist/rehearse/device.js", import.meta.url));
  for (const engine of [path, "rehearsal"]) {
    const { code, stderr } = await place.run(sixSteps(place, "never", { "--engine": engine }));
    expect([code, stderr]).toEqual([2, expect.stringContaining("engine")]);
    expect(existsSync(at("never"))).toBe(false);
  }
  const { createEngine } = (await import(path)) as { createEngine(options: object, device: number): unknown };
  expect(() => createEngine({}, 0)).toThrow("Cannot open a device that takes time");
});
