/** docs/operations.md says which engine has which operation: made of core's table and of the engines themselves. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createReferenceEngine } from "@zerogate/core";
import { type Engine, flatOperations, specialOperations } from "@zerogate/core/engine";
import { afterAll, expect, test, vi } from "vitest";
import { createWasmEngine } from "../packages/engine-cpu/src/wasm_engine.ts";
import { absent as noBinary, openAt } from "../packages/engine-cpu/test/levels.ts";
import { createEngine as createCuda } from "../packages/engine-cuda/src/engine.ts";
import { fakeEnv, absent as noEmulator } from "../packages/engine-cuda/test/fake.ts";
import { createEngine as createTfjs } from "../packages/engine-tfjs/src/engine.ts";

const place = fileURLToPath(new URL("../docs/operations.md", import.meta.url));
const missing = noBinary + noEmulator;
afterAll(() => vi.unstubAllEnvs());

const head = `# Operations

Which engine has what. *Flat* operations are described whole by their row in \`packages/core/src/engine/operations.ts\`, from which engines make their
checks and glue; *special* ones have glue of their own. This page is made by \`UPDATE_GOLDEN=1 npx vitest run tests/operations.test.ts\`.
`;

function page(engines: Readonly<Record<string, Engine>>): string {
  const flat = Object.entries(flatOperations).map(([name, { backward }]) => ({ name, kind: "flat", backward }));
  const special = Object.entries(specialOperations).map(([name, { backward, fallBack }]) => {
    return { name, kind: "special", backward, fallBack };
  });
  const all = [...flat, ...special];
  const backwards = new Set(all.map(({ backward }) => backward));
  const rows = all.map(({ name, kind, backward, ...rest }) => {
    const fallBack = "fallBack" in rest && rest.fallBack !== undefined;
    const cells = Object.values(engines).map((engine) =>
      engine[name as keyof Engine] ? "native" : fallBack ? "fall-back" : "absent",
    );
    const gradient = backward === name ? "itself" : (backward ?? (backwards.has(name as never) ? "" : "forward only"));
    return `| \`${name}\` | ${kind}${fallBack ? ", optional" : ""} | ${gradient} | ${cells.join(" | ")} |`;
  });
  const fallBacks = special.flatMap(({ name, fallBack }) => (fallBack ? [`- \`${name}\`: ${fallBack}.`] : []));
  const names = Object.keys(engines);
  return [
    head,
    `| operation | kind | backward | ${names.join(" | ")} |`,
    `|---|---|---|${"---|".repeat(names.length)}`,
    ...rows,
    "\nWhat core does with an engine that lacks an optional one:\n",
    ...fallBacks,
    "",
  ].join("\n");
}

test.skipIf(missing !== "")(`docs/operations.md is what core's table and the engines say${missing}`, async () => {
  for (const [name, value] of Object.entries(fakeEnv())) vi.stubEnv(name, value);
  const cuda = createCuda({ tune: false });
  try {
    const made = page({
      reference: createReferenceEngine(),
      cpu: openAt("portable"),
      wasm: createWasmEngine(),
      cuda,
      tfjs: await createTfjs({ backend: "cpu" }),
    });
    expect(made).not.toContain("| absent |");
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(place, made);
    expect(readFileSync(place, "utf8")).toBe(made);
  } finally {
    cuda.close();
  }
});
