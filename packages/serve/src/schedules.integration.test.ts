import { expect, test } from "vitest";
import { checkSchedules } from "../test/schedules.ts";
import { openServers } from "../test/served.ts";

const servers = await openServers();

test("in random schedules with workers that end each answer is that of a quiet server, log-probabilities too [S-schedules]", async () => {
  await checkSchedules(servers, 12, 5);
  expect.hasAssertions();
});
