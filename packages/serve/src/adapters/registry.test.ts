import { expect, test } from "vitest";
import type { ReadAdapter } from "./read_adapter.ts";
import { openRegistry, type ServedAdapter } from "./registry.ts";

const read = {} as ReadAdapter;

test("what is replaced or removed is dropped once the last text that uses it has ended [S-replace]", () => {
  const dropped: ServedAdapter[] = [];
  const registry = openRegistry((adapter) => dropped.push(adapter));
  const [first, second] = [registry.create("a", read), registry.create("a", read)];
  expect(second.number).not.toBe(first.number);
  registry.put(first);
  const [release, other] = [registry.lease(first), registry.lease(first)];
  registry.put(second);
  expect(registry.get("a")).toBe(second);
  release();
  release(); // a second time changes nothing
  expect(dropped).toEqual([]);
  other();
  expect(dropped).toEqual([first]);
  expect(registry.remove("a")).toBe(true);
  expect(registry.remove("a")).toBe(false);
  expect(dropped).toEqual([first, second]);
});
