/** Ways in which a run ends, or goes on, that need a terminal or the death of another process. Signals: run_writers.campaign.test.ts. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { zerogate } from "./support/cli.ts";
import { call, checkpoints, file, flags, folder, receipt, run } from "./support/kept_runs.ts";
import { stepLosses } from "./support/world.ts";

const cwd = folder;
const hasScript = spawnSync("script", ["--version"]).status === 0;

beforeAll(async () => {
  expect(await call("train", ...flags, "--out", "whole")).toMatchObject({ code: 0 });
});

describe("an end from outside", () => {
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
