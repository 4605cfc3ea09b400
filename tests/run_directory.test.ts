/** What a run directory promises: one writer, every change explained, every hash checked, and the way back. */
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openInputs } from "../packages/trainer/src/run/inputs.ts";
import { openCheckpoint } from "../packages/trainer/src/run/resume.ts";
import { readRunConfig } from "../packages/trainer/src/run/run_folder.ts";
import { testFolder, zerogate } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { adapterHash, stepLosses, tinyRun } from "./support/world.ts";

const folder = testFolder();
const cwd = folder;
const flags = tinyRun(folder, { "--save-every": "1", "--eval-every": "2", "--keep-checkpoints": "9" });
const run = (out: string) => join(folder, out);
const call = (...args: string[]) => zerogateHere(args, { cwd });
const file = (out: string, name: string) => join(run(out), name);
const receipt = (out: string) => readFileSync(file(out, "receipt.jsonl"), "utf8");
const checkpoints = (out: string) => readdirSync(file(out, "checkpoints")).toSorted();
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

const hasScript = spawnSync("script", ["--version"]).status === 0;

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
    const refused = await zerogate(["resume", out], { cwd, env });
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toMatch(/zerogate was \S+, is 9\.9\.9: another version may compute otherwise/);
    expect(await zerogate(["resume", out, "--accept-change", "zerogate"], { cwd, env })).toMatchObject({ code: 0 });
  });
});

test("a second writer is refused by name while the first one works, and may come after it", async () => {
  let second: Promise<{ code: number | null; stderr: string }> | undefined;
  const first = await zerogate(["train", ...flags, "--out", "locked", "--steps", "30"], {
    cwd,
    onLine(line) {
      if (/starting workers/.test(line)) second ??= call("resume", "locked");
    },
  });
  expect(first).toMatchObject({ code: 0 });
  const refused = await second;
  expect(refused?.code).toBe(2);
  expect(refused?.stderr).toMatch(/Cannot write to the run \S+locked: process \d+ on \S+, since \S+, is writing to it/);
  expect(await call("resume", "locked")).toMatchObject({ code: 0 });
});

test("a lock that a killed run left is explained and taken over", async () => {
  const killed = await zerogate(["train", ...flags, "--out", "killed"], {
    cwd,
    onLine(line, send) {
      if (/starting workers/.test(line)) send("SIGKILL");
    },
  });
  expect(killed.code).toBe(null);
  const resumed = await call("resume", "killed");
  expect(resumed).toMatchObject({ code: 0 });
  expect(resumed.stderr).toMatch(
    /process \d+ on \S+, since \S+, was writing to this run and no longer runs: taken over/,
  );
  expect(receipt("killed")).toBe(receipt("whole"));
});

test("two starters of one run: exactly one trains it", async () => {
  const start = () => zerogate(["train", ...flags, "--out", "raced"], { cwd });
  const both = await Promise.all([start(), start()]);
  expect(both.map(({ code }) => code).toSorted((a, b) => Number(a) - Number(b))).toEqual([0, 2]);
  expect(receipt("raced")).toBe(receipt("whole"));
});

describe("an end from outside", () => {
  test.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("%s saves and ends with %i", async (signal, code) => {
    const out = `ended-${signal}`;
    let isSent = false; // a second one ends it at once
    const ended = await zerogate(["train", ...flags, "--out", out, "--steps", "200", "--save-every", "500"], {
      cwd,
      onLine(line, send) {
        if (isSent || !line.startsWith("step")) return;
        isSent = true;
        send(signal);
      },
    });
    expect(ended.code).toBe(code);
    expect(ended.stdout).toContain("everything is saved");
    const step = /after step (\d+);/.exec(ended.stdout)?.[1];
    expect(checkpoints(out)).toContain(`step-${step}`);
    expect(readdirSync(run(out)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("SIGHUP is passed over where no terminal is: nohup", async () => {
    const done = await zerogate(["train", ...flags, "--out", "nohup"], {
      cwd,
      onLine(line, send) {
        if (/starting workers/.test(line)) send("SIGHUP");
      },
    });
    expect(done).toMatchObject({ code: 0 });
    expect(receipt("nohup")).toBe(receipt("whole"));
  });

  test.skipIf(!hasScript)("a closed terminal saves the run (skipped where there is no command `script`)", async () => {
    const bin = new URL("../packages/zerogate/dist/bin.js", import.meta.url).pathname;
    const line = [process.execPath, bin, "train", ...flags, "--out", "closed", "--steps", "5000"].join(" ");
    const env = { ...process.env, XDG_CACHE_HOME: join(folder, "cache") };
    // Output that nobody reads would fill its pipe and stop the run.
    const terminal = spawn("script", ["-qefc", line, "/dev/null"], { cwd, env, stdio: ["pipe", "ignore", "ignore"] });
    const metrics = file("closed", "metrics.jsonl");
    await until(() => existsSync(metrics) && readFileSync(metrics, "utf8").includes('"step":3,'));
    const lock = readdirSync(run("closed")).find((name) => name.startsWith("lock-")) ?? "";
    const { pid } = JSON.parse(readFileSync(file("closed", lock), "utf8")) as { pid: number };
    terminal.kill("SIGKILL");
    await until(() => !isAlive(pid));
    expect(readdirSync(run("closed"))).toContain(`${lock}.free`);
    const newest = Math.max(...checkpoints("closed").map((name) => Number(name.slice(5))));
    expect(newest).toBe(stepLosses(run("closed")).length);
  });

  test("SIGUSR1 asks for a checkpoint and changes nothing else", async () => {
    const asked = await zerogate(
      ["train", ...flags, "--out", "asked", "--save-every", "500", "--steps", "12", "--json"],
      {
        cwd,
        onLine(line, send) {
          if (/"event":"step","step":1,/.test(line)) send("SIGUSR1");
        },
      },
    );
    expect(asked).toMatchObject({ code: 0 });
    const steps = checkpoints("asked").map((name) => Number(name.slice(5)));
    expect(Math.min(...steps)).toBeLessThan(12);
  });

  test("the death of the parent ends the run well where that is asked for", async () => {
    const bin = new URL("../packages/zerogate/dist/bin.js", import.meta.url).pathname;
    const args = ["train", ...flags, "--out", "orphan", "--steps", "5000", "--save-every", "0"];
    const script = `
      import { spawn, spawnSync } from "node:child_process";
      const child = spawn(process.execPath, ${JSON.stringify([bin, ...args])}, { stdio: ["ignore", "ignore", "inherit"], detached: true });
      console.log(child.pid);
      child.unref();
    `;
    const env = { ...process.env, XDG_CACHE_HOME: join(folder, "cache"), ZEROGATE_STOP_WITH_PARENT: "1" };
    const parent = spawn(process.execPath, ["--input-type=module", "-e", `${script} setInterval(() => {}, 1000);`], {
      cwd,
      env,
    });
    const pid = await new Promise<number>((resolve) => parent.stdout.once("data", (text) => resolve(Number(text))));
    await new Promise<void>((resolve) => {
      parent.stderr.on("data", (text: Buffer) => /step \d/.test(String(text)) && resolve());
    });
    parent.kill("SIGKILL");
    await until(() => !isAlive(pid));
    expect(checkpoints("orphan").some((name) => /^step-\d+$/.test(name))).toBe(true);
    expect(readdirSync(run("orphan"))).toContainEqual(expect.stringMatching(/^lock-\d+\.free$/));
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
}

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
