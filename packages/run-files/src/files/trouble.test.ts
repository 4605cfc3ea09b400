import { expect, test } from "vitest";
import { createTrouble } from "./trouble.ts";

test("trouble is reported at once, then with pauses that double up to an hour, and when it is over", () => {
  let minute = 0;
  const minutes: number[] = [];
  const messages: string[] = [];
  const trouble = createTrouble(
    "x",
    (message) => {
      minutes.push(minute);
      messages.push(message);
    },
    () => 60_000 * minute,
  );
  trouble.worked();
  for (; minute < 240; minute++) trouble.failed("ENOSPC");
  expect(minutes).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183]);
  expect(messages[1]).toBe("x cannot be written (2 attempts so far): ENOSPC. Training goes on, it is tried again");
  trouble.worked(3);
  expect(messages.at(-1)).toBe("x is written again, but 3 lines of it are lost");
  trouble.failed("EIO");
  expect(messages.at(-1)).toBe("x cannot be written: EIO. Training goes on, it is tried again");
  trouble.worked();
  expect(messages.at(-1)).toBe("x is written again, nothing of it is lost");
});
