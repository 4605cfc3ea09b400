/** The tables of both binaries are core's: same operations, same fields in the same order; and no bit of a result changes. */
import { createHash } from "node:crypto";
import { type FlatName, type FlatOperation, flatOperations, lengthOf } from "@zerogate/core/engine";
import { expect, test } from "vitest";
import { single, wave } from "../../core/test/numeric.ts";
import { absent, openAt } from "../test/levels.ts";
import { loadAddon } from "./addon.ts";
import type { CpuEngine } from "./engine.ts";
import { createWasmEngine } from "./wasm_engine.ts";
import { openMemory } from "./wasm_memory.ts";

/** A row of core's table in the words of native/include/operations.h. */
function fieldsOf({ sizes, numbers, weights, rows, outputs, inputs, maybe }: FlatOperation): string {
  const arrays = (kind: string, shapes: Readonly<Record<string, string>>) =>
    Object.entries(shapes).map(([name, shape]) => `${kind}, ${name}, "${shape}"`);
  const lists = Object.entries(rows).flatMap(([name, { shape, below, least }]) => {
    const list = `ROWS, ${name}, "${shape}", '${below}', ${least}`;
    return shape in sizes ? [list] : [list, `COUNT, ${shape}`];
  });
  return [
    ...Object.entries(sizes).map(([name, least]) => `SIZE, ${name}, ${least}`),
    ...numbers.map((name) => `NUMBER, ${name}`),
    ...arrays("VECTOR", weights),
    ...lists,
    ...arrays("OUT", outputs),
    ...arrays("IN", inputs),
    ...arrays("MAYBE", maybe),
  ]
    .map((field) => `${field}; `)
    .join("");
}

const core = Object.entries<FlatOperation>(flatOperations).map(([name, operation]) => [name, fieldsOf(operation)]);
const byName = (table: readonly (readonly string[])[]) => Object.fromEntries(table.map((row) => [row[0], row[1]]));

test.skipIf(absent !== "")(`the native binary's table is core's${absent}`, () => {
  expect(byName(loadAddon().addon.operations())).toEqual(byName(core));
});

test("the WebAssembly binary's table is core's", () => {
  expect(byName(openMemory().operations)).toEqual(byName(core));
});

/** Digests of what operations returned when version 0.1.0 came out, with 128-bit vectors without fused multiply-add. */
const bitsOf010: Readonly<Partial<Record<FlatName, string>>> = {
  gatherRows: "55d84587a0da1b7c",
  scatterRows: "27f5778d4c004447",
  rmsNorm: "02eaf09153a88e49",
  rmsNormBackward: "777c0081302eb8ac",
  layerNorm: "6f65846b8fbc41ab",
  layerNormBackward: "536f552a5400b0d5",
  swiglu: "7ef2ea7c8a47ced0",
  swigluBackward: "8534d3cb7711126c",
  geglu: "c1f5cb4496aebd20",
  gegluBackward: "ec1d12631d84f881",
  gelu: "154e97f4e424d1a7",
  geluBackward: "55139cad80b28e29",
};

test("wasm: operations keep the bits of 0.1.0", async () => {
  expect(await digests(createWasmEngine())).toEqual(bitsOf010);
});

test.skipIf(absent !== "")(`portable: operations keep the bits of 0.1.0${absent}`, async () => {
  expect(await digests(openAt("portable"))).toEqual(bitsOf010);
});

/** A digest of the outputs of each of those operations, over numbers that are the same everywhere. */
async function digests(engine: CpuEngine): Promise<Readonly<Record<string, string>>> {
  const size = { T: 7, D: 37, F: 37, R: 3, eps: 1e-5 };
  const entries = Object.keys(bitsOf010).map(async (name) => {
    const operation: FlatOperation = flatOperations[name as FlatName];
    const values: Record<string, unknown> = {};
    return engine.arena(async () => {
      for (const [i, [input, shape]] of Object.entries({ ...operation.inputs, ...operation.maybe }).entries()) {
        values[input] = engine.upload(single(wave(lengthOf(shape)(size), 0.3 + 0.8 * i)).map((x) => 3 * x));
      }
      for (const [i, [vector, shape]] of Object.entries(operation.weights).entries()) {
        const bytes = new Uint8Array(single(wave(lengthOf(shape)(size), 1.1 + i)).buffer);
        values[vector] = engine.matrix({ dtype: "f32", shape: [lengthOf(shape)(size)], bytes });
      }
      for (const list of Object.keys(operation.rows)) values[list] = Int32Array.of(5, 0, 3);
      const args = operation.arguments.map((names) =>
        typeof names === "string" ? values[names] : Object.fromEntries(names.map((field) => [field, values[field]])),
      );
      const result: unknown = Reflect.apply(engine[name as FlatName], engine, [...args, size]);
      const outputs = Object.keys(operation.outputs).length === 1 ? [result] : Object.values(result as object);
      const hash = createHash("sha256");
      for (const output of outputs) hash.update(new Uint8Array((await engine.read(output as never)).buffer));
      return [name, hash.digest("hex").slice(0, 16)] as const;
    });
  });
  return Object.fromEntries(await Promise.all(entries));
}
