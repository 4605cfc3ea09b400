import { expect, test } from "vitest";
import { pythonRandom } from "./python_random.ts";

test("samples are those of Python's random.Random: lists, sets, and one draw after another [D-task-shots]", () => {
  const draw = pythonRandom(1234);
  expect(draw.sample(10, 3)).toEqual([7, 1, 0]);
  expect(draw.sample(10, 3)).toEqual([1, 0, 9]);
  expect(draw.sample(1000, 5)).toEqual([100, 784, 363, 242, 17]);
  expect(draw.sample(1000, 30)).toEqual([
    31, 807, 16, 354, 663, 638, 495, 630, 474, 152, 93, 187, 730, 117, 865, 14, 515, 498, 901, 988, 255, 66, 683, 554,
    934, 477, 70, 615, 691, 91,
  ]);
  expect(draw.sample(21, 21)).toEqual([16, 18, 1, 8, 2, 9, 7, 13, 5, 4, 3, 10, 14, 0, 11, 17, 12, 20, 6, 19, 15]);
  expect(pythonRandom(0).sample(285, 8)).toEqual([197, 215, 20, 132, 261, 248, 207, 155]);
  expect(pythonRandom(0xffff_ffff).sample(7, 7)).toEqual([5, 4, 1, 6, 2, 3, 0]);
  // Numbers of 31 bits: small ones show only the first bits that are drawn.
  expect(pythonRandom(5).sample(2 ** 31 - 1, 4)).toEqual([1337671202, 548563996, 1592975436, 769949150]);
});
