import { configDefaults, defineConfig } from "vitest/config";

const conditions = ["@zerogate/source"];

const tests = "packages/*/src/**/*.test.ts";
const ofEngines = "packages/engine-*/src/**/*.test.ts";
const campaigns = "**/*.campaign.test.ts";
const integration = "packages/*/src/**/*.integration.test.ts";
/** Whether the tables in docs/ are those of a run of all the others. */
const tables = "tests/tables/*.test.ts";

/** `vitest run --project unit`. The name of a file decides its project: the table in CONTRIBUTING.md. */
const project = (name: string, include: string[], exclude: string[] = []) => ({
  extends: true as const,
  test: { name, include, exclude: [...configDefaults.exclude, ...exclude] },
});
/** Loads the sources of the packages, not what is built: no build is needed before it. */
const fromSource = { resolve: { conditions }, ssr: { resolve: { conditions } } };

export default defineConfig({
  test: {
    projects: [
      { ...fromSource, ...project("unit", [tests], [ofEngines, integration, campaigns]) },
      { ...fromSource, ...project("integration", [integration]) },
      { ...fromSource, ...project("engines", [ofEngines], [campaigns]) },
      project("system", ["tests/**/*.test.ts"], [campaigns, tables]),
      project("campaigns", [campaigns]),
      project("tables", [tables]),
    ],
    setupFiles: ["tests/setup.ts"],
    testTimeout: 900_000,
    hookTimeout: 900_000,
    maxWorkers: 2,
    // Gradients of TensorFlow.js are a module that Node cannot import by itself; the rest of it stays one CommonJS module.
    // What is built runs as Node runs it, not as Vite changes it.
    server: { deps: { inline: [/tfjs-core\/dist\/(?!tf-core)/], external: [/packages\/[a-z-]+\/dist\//] } },
  },
});
