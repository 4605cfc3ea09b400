import type { TrainConfig } from "@zerogate/run-config";
import { expect, test } from "vitest";
import { localTeams } from "../../test/local_ranks.ts";
import type { RunInputs } from "../run/inputs.ts";
import { openAlike } from "./same_everywhere.ts";

const config = {
  model: "base",
  compute: "f32",
  broadcastWeights: false,
  tower: "none",
  onBadNumbers: "stop",
  rollbackSteps: 10,
  reportAnswers: 0,
} as TrainConfig;
const inputs = (changes: object = {}, hashes: object = {}) =>
  ({
    hashes: { base: "b", data: "d", tokenizer: "t", plan: "p", ...hashes },
    totalSteps: 8,
    engine: {},
    ...changes,
  }) as unknown as RunInputs;

test("ranks with the same inputs go on, each with its own", async () => {
  const { all } = localTeams(2);
  const opened = [inputs(), inputs()];
  const found = await all((team) => openAlike(team, config, async () => opened[team.rank] as RunInputs));
  expect(found[0]).toBe(opened[0]);
  expect(found[1]).toBe(opened[1]);
});

test("ranks of one host that would use the same device are refused on all, before any is opened", async () => {
  const { all } = localTeams(2);
  const opened = inputs({ engine: { exclusive: ["GPU 0"] } });
  for (const message of await all((team) => openAlike(team, config, async () => opened))) {
    expect(message).toContain("ranks 0, 1 would all compute on GPU 0 of ");
  }
  const own = [inputs({ engine: { exclusive: ["GPU 0"] } }), inputs({ engine: { exclusive: ["GPU 1"] } })];
  const found = await localTeams(2).all((team) => openAlike(team, config, async () => own[team.rank] as RunInputs));
  expect(found).toEqual(own);
});

test.each([
  ["another base", {}, inputs({}, { base: "c" }), "base of rank 1 is c, of rank 0 b"],
  ["other data", {}, inputs({}, { data: "e" }), "data of rank 1 is e, of rank 0 d"],
  ["another number of steps", {}, inputs({ totalSteps: 9 }), "steps of rank 1 is 9, of rank 0 8"],
  ["another policy", { onBadNumbers: "skip" }, inputs(), "onBadNumbers of rank 1 is skip, of rank 0 stop"],
  ["other rollback steps", { rollbackSteps: 3 }, inputs(), "rollbackSteps of rank 1 is 3, of rank 0 10"],
  ["another number of answers", { reportAnswers: 4 }, inputs(), "reportAnswers of rank 1 is 4, of rank 0 0"],
])("%s on one rank is refused on all, by rank and field", async (_, changes, other, says) => {
  const { all } = localTeams(3);
  const found = await all((team) =>
    openAlike(team, team.rank === 1 ? ({ ...config, ...changes } as TrainConfig) : config, async () =>
      team.rank === 1 ? other : inputs(),
    ),
  );
  for (const message of found) {
    expect(message).toContain("Cannot train together");
    expect(message).toContain(says);
    expect(message).not.toContain("rank 2 is");
  }
});
