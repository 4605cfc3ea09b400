/** Several runs on one base in one pool: each leaves what it leaves alone. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resolveConfig, type TrainConfig } from "@zerogate/run-config";
import { lockRun } from "@zerogate/run-files";
import { expect, test } from "vitest";
import { checkpointsIn, linesOf, openPlace, textOf } from "../../../zerogate/test/here.ts";
import { localTeams } from "../../test/local_ranks.ts";
import { noLock } from "../team/other_ranks.ts";
import type { Team } from "../team/team.ts";
import type { RunContext } from "./context.ts";
import { openInputs } from "./inputs.ts";
import { openCheckpoint } from "./resume.ts";
import { executeRun, executeRuns } from "./run.ts";
import { createRunFolder } from "./run_folder.ts";
import type { RunView } from "./view.ts";

const { at, base } = openPlace();
const data = at("data.json");

/** Two runs that differ in all that a job is: shape, start, learning rate, batches, length, validations. */
const slow = {
  adapterLayers: "2",
  adapterLen: "4",
  batchSize: "8",
  epochs: "2",
  seed: "7",
  lr: "0.01",
  evalEvery: "2",
};
const fast = { adapterLayers: "1", adapterLen: "2", batchSize: "6", epochs: "1", seed: "9", lr: "0.3", evalEvery: "1" };

const configOf = (out: string, flags: Readonly<Record<string, string>>): TrainConfig =>
  resolveConfig({
    flags: {
      model: base,
      data: [data],
      validationData: [at("held.json")],
      out: at(out),
      cacheDir: at("cache"),
      engine: "reference",
      workers: "2",
      warmupEpochs: "0",
      keepCheckpoints: "9",
      ...flags,
    },
  });

interface Started extends RunContext {
  /** Lines that its view got. */
  readonly told: string[];
}

/** @param on called with every line of the view */
async function given(
  config: TrainConfig,
  team: Team,
  on: (line: string) => void = () => {},
  isFirst = true,
): Promise<Started> {
  const told: string[] = [];
  const tell = (line: string) => {
    told.push(line);
    on(line);
  };
  const view: RunView = {
    phase() {},
    start: (step) => tell(`start ${step}`),
    metrics: (line) => tell(`${"event" in line ? line.event : "step"} ${line.step}`),
    checkpoint() {},
    warn: (message) => tell(`warn ${message}`),
    note() {},
    device() {},
    failed: (message) => tell(`failed ${message}`),
    async report(runDir) {
      writeFileSync(join(runDir, "report.html"), "");
      return join(runDir, "report.html");
    },
  };
  const progress = { onPhase() {}, onWarning() {}, signal: new AbortController().signal };
  const inputs = await openInputs(config, progress);
  if (isFirst) await createRunFolder(config).catch(() => {}); // one that goes on has it
  const lock = isFirst ? await lockRun(config.out, () => {}) : noLock;
  const stop = new AbortController();
  return { config, inputs, from: undefined, view, lock, team, signal: stop.signal, saveRequests: { count: 0 }, told };
}

const teamOfOne = () => localTeams(1).teams[0] as Team;
const adapterOf = ({ config }: RunContext) => readFileSync(join(config.out, "adapter/adapter_model.safetensors"));
const release = (runs: readonly RunContext[]) => Promise.all(runs.map(({ lock }) => lock.release()));

async function alone(out: string, flags: Readonly<Record<string, string>>): Promise<Started> {
  const run = await given(configOf(out, flags), teamOfOne());
  await executeRun(run);
  await release([run]);
  return run;
}

test("two adapters that are trained together have receipts, checkpoints and bytes of two runs, in order", async () => {
  const expected = [await alone("slow", slow), await alone("fast", fast)] as const;
  const team = teamOfOne();
  const runs = [await given(configOf("slow-2", slow), team), await given(configOf("fast-2", fast), team)] as const;
  const results = await executeRuns(runs);
  await release(runs);
  expect(results.map(({ ending, steps }) => [ending, steps])).toEqual([
    ["finished", 6],
    ["finished", 4],
  ]);
  for (const [n, run] of runs.entries()) {
    const own = expected[n] as Started;
    expect(adapterOf(run)).toEqual(adapterOf(own));
    expect(textOf(run.config.out, "receipt.jsonl")).toBe(textOf(own.config.out, "receipt.jsonl"));
    expect(checkpointsIn(run.config.out)).toEqual(checkpointsIn(own.config.out));
    expect(run.told).toEqual(own.told);
  }
  expect(adapterOf(runs[0])).not.toEqual(adapterOf(runs[1]));
});

test.each(["step 2", "eval 2"])(
  "where the view of one run throws at %s the other saves its step, and both go on to the same bits",
  async (fatal) => {
    const name = fatal.replace(" ", "-");
    const expected = [await alone(`slow-${name}`, slow), await alone(`fast-${name}`, fast)] as const;
    const team = teamOfOne();
    const failing = await given(configOf(`failing-${name}`, { ...fast, saveEvery: "1" }), team, (line) => {
      if (line === fatal) throw new Error("no room for this line");
    });
    const other = await given(configOf(`other-${name}`, { ...slow, saveEvery: "99" }), team);
    await expect(executeRuns([other, failing])).rejects.toThrow("no room for this line");
    expect(failing.told.at(-1)).toMatch(/^failed no room for this line/);
    expect(other.told.join()).not.toContain("failed");
    expect(linesOf(other.config.out, "receipt.jsonl").length).toBeGreaterThan(2);
    expect(checkpointsIn(other.config.out).length).toBeGreaterThan(0);
    await release([other, failing]);

    const resumed = await Promise.all(
      [other, failing].map(async ({ config }) => {
        const run = await given(config, team);
        const wish = { config, accept: [], onWarning() {}, onNote() {} };
        return { ...run, from: await openCheckpoint(run.inputs, wish) };
      }),
    );
    await executeRuns(resumed);
    await release(resumed);
    for (const [n, run] of resumed.entries()) expect(adapterOf(run)).toEqual(adapterOf(expected[n] as Started));
  },
);

test("two ranks train two adapters together, to the same bits, and meet in the same order though each ends at its own step", async () => {
  const expected = [await alone("slow-one", slow), await alone("fast-one", fast)] as const;
  const { teams, meetings } = localTeams(2);
  const flags = [{ ...slow, earlyStopping: "1" }, fast];
  const ranks = await Promise.all(
    teams.map((team, rank) =>
      Promise.all(
        flags.map((own, n) => given({ ...configOf(`rank-${n}`, own), workers: 1 }, team, () => {}, rank === 0)),
      ),
    ),
  );
  const results = await Promise.all(ranks.map((runs) => executeRuns(runs)));
  await release(ranks[0] ?? []);
  const [first, second] = results.map((of) => of.map(({ ending, steps, adapter }) => ({ ending, steps, adapter })));
  expect(first).toEqual(second);
  const fastRun = ranks[0]?.[1] as Started;
  expect(adapterOf(fastRun)).toEqual(adapterOf(expected[1]));
  expect(textOf(fastRun.config.out, "receipt.jsonl")).toBe(textOf(expected[1].config.out, "receipt.jsonl"));
  expect(meetings.some(({ phase }) => / of .*rank-0, step .* of .*rank-1$/.test(phase))).toBe(true);
});

test("runs on other data or of another team are refused, and nothing is begun", async () => {
  const few = at("few.json");
  writeFileSync(few, JSON.stringify(JSON.parse(readFileSync(data, "utf8")).slice(0, 8)));
  const team = teamOfOne();
  const first = await given(configOf("first", slow), team);
  const second = await given({ ...configOf("second", fast), data: [few] }, team);
  const third = { ...(await given(configOf("third", fast), teamOfOne())) };
  await expect(executeRuns([first, second, third])).rejects.toThrow(
    `Cannot train together: the data of ${second.config.out} is another one than that of ${first.config.out}`,
  );
  await expect(executeRuns([first, third])).rejects.toThrow(`${third.config.out} has another team than`);
  await release([first, second, third]);
  expect(first.told).toEqual([]);
});
