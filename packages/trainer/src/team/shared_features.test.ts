/** Features with several hosts: one makes them, all have the same, and what goes wrong on one is said on all. */
import { InputError } from "@zerogate/core";
import { allocateFeatures, type FeaturePack, type OwnFeatures, packHash } from "@zerogate/vision";
import { expect, test } from "vitest";
import { localTeams } from "../../test/local_ranks.ts";
import { shareFeatures } from "./shared_features.ts";
import type { OpenTeam } from "./team.ts";

/** Three images of five numbers, as a processor computes them. */
function packOf(processor: number): FeaturePack {
  const values = allocateFeatures(3, [5]);
  for (let i = 0; i < 15; i++) values[i] = i + processor / 1e6;
  return { shape: [5], images: ["a", "b", "c"], bad: [["d", "cut off"]], values };
}

/** A host with a processor and a cache of its own. */
function host(rank: number, changes: Partial<OwnFeatures> = {}) {
  const cache = new Map<string, FeaturePack>();
  const done: string[] = [];
  const own: OwnFeatures = {
    inputs: "same",
    engineName: `cpu/${rank}`,
    read: async (engineName) => cache.get(engineName),
    async make() {
      done.push("made");
      return packOf(rank);
    },
    async keep(engineName, pack) {
      done.push("kept");
      cache.set(engineName, pack);
    },
    ...changes,
  };
  return { own, cache, done };
}

/** Opens sets of data: of those without an image nothing is asked for. */
function opens(team: OpenTeam, sets: readonly (OwnFeatures | undefined)[]) {
  const { find, during } = shareFeatures(team, sets.length);
  return during(async () => {
    let found: Awaited<ReturnType<typeof find>> | undefined;
    for (const own of sets) if (own) found = await find(own);
    return found;
  });
}

test("rank 0 makes the pack, the others receive it and keep it, and nothing is sent again", async () => {
  const { all, meetings } = localTeams(3);
  const hosts = [0, 1, 2].map((rank) => host(rank));
  const find = () => all((team) => opens(team, [hosts[team.rank]?.own]));
  const first = (await find()) as { pack: FeaturePack; isCached: boolean }[];
  for (const { pack, isCached } of first) {
    expect([...pack.values]).toEqual([...packOf(0).values]);
    expect({ ...pack, values: 0 }).toEqual({ ...packOf(0), values: 0 });
    expect(pack.values.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(isCached).toBe(false);
  }
  expect(hosts.map(({ done }) => done.join())).toEqual(["made,kept", "kept", "kept"]);
  expect(hosts.map(({ cache }) => [...cache.keys()].join())).toEqual(["cpu/0", "cpu/0", "cpu/0"]);
  const broadcasts = () => meetings.filter(({ bytes }) => bytes === 60).length;
  const sent = broadcasts();
  expect(sent).toBeGreaterThan(0);
  const again = (await find()) as { isCached: boolean }[];
  expect(again.map(({ isCached }) => isCached)).toEqual([true, true, true]);
  expect(broadcasts()).toBe(sent);
  hosts[2]?.cache.set("cpu/0", packOf(9)); // of another run: not what the others have
  const third = (await find()) as { pack: FeaturePack }[];
  expect(new Set(third.map(({ pack }) => packHash(pack))).size).toBe(1);
  expect(hosts.map(({ done }) => done.filter((what) => what === "made").length)).toEqual([1, 0, 0]);
});

test("hosts that see other images, or see them through another tower, are refused on all", async () => {
  const { all } = localTeams(3);
  const found = await all((team) => opens(team, [host(team.rank, { inputs: team.rank === 1 ? "other" : "same" }).own]));
  for (const message of found) {
    expect(message).toBe("Cannot train together: images and tower of rank 1 are other, of rank 0 same");
  }
});

test("data without an image on one host alone are refused, on all hosts they are nothing to share", async () => {
  const some = await localTeams(2).all((team) => opens(team, [undefined, team.rank === 0 ? host(0).own : undefined]));
  for (const message of some) expect(message).toMatch(/images and tower of rank 1 are no images, of rank 0 same$/);
  expect(await localTeams(2).all((team) => opens(team, [undefined, undefined]))).toEqual([undefined, undefined]);
});

test.each([0, 1])("what fails on rank %i before images are looked at is said on all, once", async (failing) => {
  const { all } = localTeams(2);
  const found = await all((team) => {
    const { find, during } = shareFeatures(team, 2);
    return during(async () => {
      await find(host(team.rank).own);
      if (team.rank === failing) throw new InputError("Cannot read held.json", "there is no such file");
      return await find(host(team.rank).own);
    });
  });
  const said = `rank ${failing} of 2: Cannot read held.json: there is no such file`;
  expect(found).toEqual([said, said]);
});

test("what fails while rank 0 makes them is said on all, and what fails afterwards is each rank's own", async () => {
  const broken = { make: () => Promise.reject(new InputError("Cannot compute features", "cat.png was changed")) };
  const found = await localTeams(2).all((team) => opens(team, [host(team.rank, broken).own, host(team.rank).own]));
  for (const message of found) expect(message).toBe("rank 0 of 2: Cannot compute features: cat.png was changed");
  const later = await localTeams(2).all(async (team) => {
    const { find, during } = shareFeatures(team, 1);
    return during(async () => {
      await find(host(team.rank).own);
      if (team.rank === 1) throw new InputError("Cannot plan", "no step");
      return 5;
    });
  });
  expect(later).toEqual([5, "Cannot plan: no step"]);
});
