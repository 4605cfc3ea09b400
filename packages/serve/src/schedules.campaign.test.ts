import { expect, test } from "vitest";
import { checkSchedules } from "../test/schedules.ts";
import { openServers } from "../test/served.ts";

const servers = await openServers();

test("the same in 500 random schedules [S-schedules]", async () => {
  await checkSchedules(servers, 500, 17);
  expect.hasAssertions();
});
