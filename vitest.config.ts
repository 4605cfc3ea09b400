import { configDefaults, defineConfig } from "vitest/config";

const conditions = ["@zerogate/source"];

/** Minutes each, of what no change of a day breaks: power cuts, killed processes, fuzzers, GPU emulators, other programs. */
const campaigns = [
  "tests/{chaos,fuzz,peft,transformers}/**/*.test.ts",
  "tests/{bases,disk_trouble,gpu_bench,int8,quickstart}.test.ts",
];
/** Whether the tables in docs/ are those of a run of all the others. */
const tables = "tests/tables/**/*.test.ts";
const engines = "packages/engine-*/src/**/*.test.ts";

/** `vitest run --project unit`. What each is for: CONTRIBUTING.md. */
const project = (name: string, include: string[], exclude: string[] = []) => ({
  extends: true as const,
  test: { name, include, exclude: [...configDefaults.exclude, ...exclude] },
});

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    projects: [
      project("unit", ["packages/*/src/**/*.test.ts"], [engines]),
      project("engines", [engines]),
      project("system", ["tests/**/*.test.ts"], [...campaigns, tables]),
      project("campaigns", campaigns),
      project("tables", [tables]),
    ],
    setupFiles: ["tests/setup.ts"],
    testTimeout: 900_000,
    hookTimeout: 900_000,
    maxWorkers: 2,
    // Gradients of TensorFlow.js are a module that Node cannot import by itself; the rest of it stays one CommonJS module.
    server: { deps: { inline: [/tfjs-core\/dist\/(?!tf-core)/] } },
  },
});
