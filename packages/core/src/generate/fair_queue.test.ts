import { expect, test } from "vitest";
import { openFairQueue } from "./fair_queue.ts";

interface Named {
  readonly name: string;
  readonly user: string;
  readonly adapter: string;
}

const named = (name: string, user = "", adapter = ""): Named => ({ name, user, adapter });

/** Serves all texts one after another, each with the given number of tokens, and returns their names. */
function order(texts: readonly Named[], tokens = 10): string {
  const queue = openFairQueue<Named>();
  for (const text of texts) queue.add(text);
  const names: string[] = [];
  for (let text = queue.first(); text; text = queue.first()) {
    queue.remove(text);
    names.push(text.name);
    queue.charge(text, tokens);
    queue.leave(text);
  }
  return names.join("");
}

test("texts of one user and adapter come in their order", () => {
  expect(order([named("a"), named("b"), named("c")])).toBe("abc");
});

test("a user with one text does not wait behind all of another's", () => {
  expect(order([..."abcdef".split("").map((name) => named(name, "greedy")), named("X", "modest")])).toBe("aXbcdef");
});

test("users share by tokens, and each user's adapters share what is theirs", () => {
  const texts = [
    named("a", "u", "one"),
    named("b", "u", "one"),
    named("c", "u", "two"),
    named("d", "v"),
    named("e", "v"),
  ];
  expect(order(texts)).toBe("adceb");
});

test("who was away begins level with the least served of those here", () => {
  const queue = openFairQueue<Named>();
  const [first, second] = [named("a", "old"), named("b", "old")];
  queue.add(first);
  queue.add(second);
  queue.remove(first);
  queue.charge(first, 1000);
  const late = [named("c", "new"), named("d", "new")];
  for (const text of late) queue.add(text);
  expect(queue.first()?.name, "level: the older text").toBe("b");
  queue.charge(second, 1);
  expect(queue.first()?.name).toBe("c");
  queue.charge(late[0] ?? second, 2);
  expect(queue.first()?.name).toBe("b");
});

test("a text that does not wait cannot be taken out", () => {
  const queue = openFairQueue<Named>();
  const text = named("a");
  queue.add(text);
  expect([queue.remove(text), queue.remove(text), queue.length]).toEqual([true, false, 0]);
});
