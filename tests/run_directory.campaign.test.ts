/** What a run directory promises: every change explained, every hash checked, and the way back. Who may write: run_writers.campaign.test.ts. */
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openInputs } from "../packages/trainer/src/run/inputs.ts";
import { openCheckpoint } from "../packages/trainer/src/run/resume.ts";
import { readRunConfig } from "../packages/trainer/src/run/run_folder.ts";
import { zerogate } from "./support/cli.ts";
import { call, checkpoints, file, flags, folder, receipt, run } from "./support/kept_runs.ts";
import { adapterHash, stepLosses } from "./support/world.ts";

const copyOf = (name: string) => {
  cpSync(run("whole"), run(name), { recursive: true });
  return name;
};

/** Steps before which a rollback of a resumed run does not go. */
async function floorOf(out: string, changes: Readonly<Record<string, string>>): Promise<number> {
  const config = await readRunConfig(run(out), changes);
  const silent = () => {};
  const inputs = await openInputs(config, {
    onPhase: silent,
    onWarning: silent,
    signal: new AbortController().signal,
  });
  return (await openCheckpoint(inputs, { config, accept: [], onWarning: silent, onNote: silent })).floor;
}

beforeAll(async () => {
  expect(await call("train", ...flags, "--out", "whole")).toMatchObject({ code: 0 });
});

describe("the receipt", () => {
  test("is the same text for other numbers of workers and after any interruption", async () => {
    expect(await call("train", ...flags, "--out", "three", "--workers", "3")).toMatchObject({ code: 0 });
    expect(receipt("three")).toBe(receipt("whole"));
    const out = copyOf("cut");
    for (const step of [6, 5, 4]) rmSync(file(out, `checkpoints/step-${step}`), { recursive: true });
    appendFileSync(file(out, "receipt.jsonl"), '{"event":"step","st');
    expect(await call("resume", out)).toMatchObject({ code: 0 });
    expect(receipt(out)).toBe(receipt("whole"));
  });

  test("that is lost goes on by consent from what the checkpoint knows, and verify says which steps are missing", async () => {
    const out = copyOf("lost");
    rmSync(file(out, "checkpoints/step-6"), { recursive: true });
    rmSync(file(out, "receipt.jsonl"));
    expect(await call("resume", out)).toMatchObject({ code: 3 });
    expect(await call("resume", out, "--accept-change", "receipt")).toMatchObject({ code: 0 });
    const verified = await call("verify", out);
    expect(verified.stdout).toContain(
      "note  receipt.jsonl: steps 1 to 5 are missing, it goes on from the checkpoint of 5",
    );
  });
});

describe("verify", () => {
  test("finds nothing in a run that was left alone, and the same steps when they are done again", async () => {
    const verified = await call("verify", "whole", "--replay", "2..6", "--json");
    expect(verified).toMatchObject({ code: 0 });
    expect(verified.json[0]).toMatchObject({ ok: true, problems: [], replay: { start: 1, same: 5 } });
    expect(verified.json[0]?.["checked"]).toHaveLength(9);
  });

  const tampering: [string, (out: string) => void, RegExp][] = [
    [
      "a loss in the receipt",
      (out) => edit(file(out, "receipt.jsonl"), /"loss":\d/),
      /line 2 is not linked to the one before/,
    ],
    [
      "a loss in the metrics",
      (out) => edit(file(out, "metrics.jsonl"), /"step":3,"epoch":[\d.]+,"loss":\d/),
      /metrics.jsonl: the loss of step 3 is/,
    ],
    [
      "a checkpoint",
      (out) => flip(file(out, "checkpoints/step-3/optimizer.safetensors")),
      /step-3: optimizer.safetensors has another SHA-256/,
    ],
    [
      "the adapter",
      (out) => flip(file(out, "adapter/adapter_model.safetensors")),
      /adapter_model.safetensors is not that of the last checkpoint/,
    ],
  ];
  test.each(tampering)("finds that somebody changed %s", async (what, change, says) => {
    const out = copyOf(what);
    change(out);
    const verified = await call("verify", out);
    expect(verified).toMatchObject({ code: 3 });
    expect(verified.stdout).toMatch(says);
  });

  test("says at which step a replay first differs", async () => {
    const out = copyOf("other rate");
    const config = JSON.parse(readFileSync(file(out, "config.json"), "utf8")) as object;
    writeFileSync(file(out, "config.json"), JSON.stringify({ ...config, lr: 0.006 }));
    const verified = await call("verify", out, "--replay", "3..6");
    expect(verified).toMatchObject({ code: 3 });
    expect(verified.stdout).toMatch(
      /WRONG replay from the checkpoint of step 2: step 3 is the first that differs, its parameters was \w{64}, is \w{64}/,
    );
    const json = await call("verify", out, "--replay", "3..6", "--json");
    expect(json.json[0]).toMatchObject({ ok: false, replay: { difference: { step: 3, what: "parameters" } } });
  });

  test.each([
    [["whole", "--replay", "5..2"], /--replay is "5..2", expected two steps/],
    [["whole", "--replay", "5..20"], /the receipt has 6 steps/],
    [["nowhere"], /there is no config.json in it/],
  ])("refuses %s", async (args, says) => {
    const refused = await call("verify", ...args);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(says);
  });
});

test("rewind makes an earlier step the newest, keeps what came later, and a resume gives the same bits", async () => {
  const out = copyOf("rewound");
  const done = await call("rewind", out, "--to", "3");
  expect(done).toMatchObject({ code: 0 });
  expect(done.stdout).toMatch(/^The run stands at step 3; what came after it is kept in \S+rewound\/1\. Go on with:/);
  expect(checkpoints(out)).toEqual(["step-1", "step-2", "step-3"]);
  expect(existsSync(file(out, "adapter"))).toBe(false);
  const kept = ["adapter", "metrics.jsonl", "receipt.jsonl", "report.html", "step-4", "step-5", "step-6"];
  expect(readdirSync(file(out, "rewound/1")).toSorted()).toEqual(kept);
  expect(await call("resume", out)).toMatchObject({ code: 0 });
  expect(receipt(out)).toBe(receipt("whole"));
  expect(stepLosses(run(out))).toEqual(stepLosses(run("whole")));
  expect(adapterHash(run(out))).toBe(adapterHash(run("whole")));
  const refused = await call("rewind", out, "--to", "9");
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.stderr).toContain("there is no checkpoint of it: there are those of steps 1, 2, 3, 4, 5, 6");
});

describe("a resume with changes", () => {
  test("explains and allows those that decide nothing", async () => {
    const out = copyOf("safe");
    rmSync(file(out, "checkpoints/step-6"), { recursive: true });
    const resumed = await call("resume", out, "--workers", "3", "--keep-checkpoints", "2");
    expect(resumed).toMatchObject({ code: 0 });
    expect(resumed.stderr).toMatch(/keepCheckpoints was 9, is 2: allowed, it changes nothing of what is trained/);
    expect(checkpoints(out)).toEqual(["step-5", "step-6"]);
    expect(receipt(out)).toBe(receipt("whole"));
  });

  test("refuses those that decide bits, unless each is accepted, which the run records", async () => {
    const out = copyOf("accepted");
    for (const step of [5, 6]) rmSync(file(out, `checkpoints/step-${step}`), { recursive: true });
    const changes = ["--lr", "0.01", "--clip-norm", "2"];
    const refused = await call("resume", out, ...changes, "--accept-change", "lr");
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toMatch(/clipNorm was 1, is 2: it decides the trained bits\n.*: --accept-change clipNorm/);
    expect(receipt(out)).toBe(receipt("whole"));
    const accept = ["--accept-change", "lr", "--accept-change", "clipNorm"];
    expect(await call("resume", out, ...changes, ...accept)).toMatchObject({ code: 0 });
    expect(receipt(out)).toContain('{"event":"accepted","step":4,"field":"lr","was":"0.005","is":"0.01"');
    // From here on the run has the new values: the same resume needs no flags, and gives the same bits.
    const end = receipt(out);
    for (const step of [5, 6]) rmSync(file(out, `checkpoints/step-${step}`), { recursive: true });
    expect(await call("resume", out)).toMatchObject({ code: 0 });
    expect(receipt(out)).toBe(end);
    const verified = await call("verify", out, "--replay", "5..6");
    expect(verified).toMatchObject({ code: 0 });
    expect(verified.stdout).toContain("note  after step 4 lr became 0.01, which was accepted");
  });

  test("takes no consent that was given at another step, nor stops a rollback there [T-E5]", async () => {
    const out = copyOf("consent");
    for (const step of [5, 6]) rmSync(file(out, `checkpoints/step-${step}`), { recursive: true });
    const changed = ["--lr", "0.01"];
    expect(await call("resume", out, ...changed, "--accept-change", "lr")).toMatchObject({ code: 0 });
    expect(await floorOf(out, { lr: "0.01" })).toBe(4);
    expect(await call("rewind", out, "--to", "2")).toMatchObject({ code: 0 });
    const refused = await call("resume", out, ...changed);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain("--accept-change lr");
    expect(await floorOf(out, { lr: "0.005" })).toBe(0);
    expect(await call("resume", out, "--lr", "0.005")).toMatchObject({ code: 0 });
    expect(receipt(out)).toBe(receipt("whole"));
  });

  test("refuses an adapter of another shape even where it is accepted, and names that are no fields", async () => {
    const shape = await call("resume", copyOf("shape"), "--adapter-len", "4", "--accept-change", "adapterLen");
    expect(shape).toMatchObject({ code: 2 });
    expect(shape.stderr).toMatch(/with an adapter of another shape/);
    const name = await call("resume", "whole", "--accept-change", "batchsize");
    expect(name).toMatchObject({ code: 2 });
    expect(name.stderr).toContain('there is no "batchsize": did you mean "batchSize"?');
  });

  test("refuses another version of zerogate by name", async () => {
    const out = copyOf("version");
    rmSync(file(out, "checkpoints/step-6"), { recursive: true });
    const versionFile = new URL("../packages/run-config/dist/version.js", import.meta.url);
    const preload = join(folder, "version.mjs");
    const source = `import { versions } from ${JSON.stringify(versionFile.href)}; versions.zerogate = "9.9.9";`;
    writeFileSync(preload, source);
    const env = { NODE_OPTIONS: `--import ${preload}` };
    const refused = await zerogate(["resume", out], { cwd: folder, env });
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toMatch(/zerogate was \S+, is 9\.9\.9: another version may compute otherwise/);
    expect(await zerogate(["resume", out, "--accept-change", "zerogate"], { cwd: folder, env })).toMatchObject({
      code: 0,
    });
  });
});

/** Makes the last digit of what matches a 9. */
function edit(path: string, pattern: RegExp): void {
  const text = readFileSync(path, "utf8");
  const changed = text.replace(pattern, (match) => `${match.slice(0, -1)}9`);
  expect(changed).not.toBe(text);
  writeFileSync(path, changed);
}

function flip(path: string): void {
  const bytes = readFileSync(path);
  const at = bytes.length - 3;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(path, bytes);
}
