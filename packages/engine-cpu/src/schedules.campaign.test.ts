/** Texts that come, go, wait and are made again at random: what a server's users do, on the engines that promise the same bits. */
import { createReferenceEngine } from "@zerogate/core";
import { describeSchedules } from "../../core/test/schedules.ts";
import { levels, openAt } from "../test/levels.ts";

describeSchedules("reference", createReferenceEngine, { runs: 500, changes: {} });
for (const [i, level] of levels.entries()) {
  describeSchedules(`cpu ${level}`, () => openAt(level), { runs: i === 0 ? 500 : 30 });
}
