import { defineConfig } from "vitest/config";

const conditions = ["@zerogate/source"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["packages/*/src/**/*.test.ts", "tests/**/*.test.ts"],
    setupFiles: ["tests/setup.ts"],
    testTimeout: 900_000,
    hookTimeout: 900_000,
    maxWorkers: 2,
    // Gradients of TensorFlow.js are a module that Node cannot import by itself; the rest of it stays one CommonJS module.
    server: { deps: { inline: [/tfjs-core\/dist\/(?!tf-core)/] } },
  },
});
