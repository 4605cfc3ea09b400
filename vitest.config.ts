import { configDefaults, defineConfig } from "vitest/config";

const conditions = ["@zerogate/source"];

const tests = "packages/*/src/**/*.test.ts";
const ofEngines = "packages/engine-*/src/**/*.test.ts";
const campaigns = "**/*.campaign.test.ts";
const integration = "packages/*/src/**/*.integration.test.ts";
/** Whether the tables in docs/ are those of a run of all the others. */
const tables = "tests/tables/*.test.ts";
/** Files of `unit` that draw at random, less often there: see core/test/draws.ts. */
const drawn = ["packages/core/src/node/adapter_round_trip.test.ts"];

/** `vitest run --project unit`. The name of a file decides its project: the table in CONTRIBUTING.md. */
const project = (name: string, include: string[], exclude: string[] = []) => ({
  extends: true as const,
  test: { name, include, exclude: [...configDefaults.exclude, ...exclude] },
});
/** Loads the sources of the packages, not what is built: no build is needed before it. */
const fromSource = { resolve: { conditions }, ssr: { resolve: { conditions } } };
/** Loads each module once for many files, which takes half the time: a test of it leaves nothing behind. */
const inOneProcess = ({ extends: extended, test }: ReturnType<typeof project>) => ({
  extends: extended,
  test: { ...test, isolate: false },
});
const allDraws = ({ extends: extended, test }: ReturnType<typeof project>) => ({
  extends: extended,
  test: { ...test, env: { ZEROGATE_ALL_DRAWS: "1" } },
});
// Gradients of TensorFlow.js are a module that Node cannot import by itself; the rest of it stays one CommonJS module.
const inline = [/tfjs-core\/dist\/(?!tf-core)/];

/** Loads what is built as Node does. */
const built = (name: string, include: string[], exclude: string[] = []) => {
  const { extends: extended, test } = project(name, include, exclude);
  return {
    extends: extended,
    test: { ...test, server: { deps: { inline, external: [/packages\/[a-z-]+\/dist\//] } } },
  };
};

export default defineConfig({
  test: {
    projects: [
      { ...fromSource, ...inOneProcess(project("unit", [tests], [ofEngines, integration, campaigns])) },
      { ...fromSource, ...project("integration", [integration]) },
      { ...fromSource, ...project("engines", [ofEngines], [integration, campaigns]) },
      built("system", ["tests/**/*.test.ts"], [campaigns, tables]),
      built("campaigns", [campaigns]),
      { ...fromSource, ...allDraws(project("draws", drawn)) },
      project("tables", [tables]),
    ],
    setupFiles: ["tests/setup.ts"],
    testTimeout: 900_000,
    hookTimeout: 900_000,
    maxWorkers: 2,
    server: { deps: { inline } },
  },
});
