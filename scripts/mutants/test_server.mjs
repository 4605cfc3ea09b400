/** Runs test files when its parent asks, in one vitest that stays up: only what changed is read and transformed again. */
import { createVitest } from "vitest/node";

const vitest = await createVitest(
  "test",
  { watch: false, bail: 1, maxWorkers: 1, reporters: [{}], cache: false, silent: true },
  { server: { watch: null }, logLevel: "silent" },
);
await vitest.standalone();

process.on("message", (request) => void answer(request));

async function answer({ test, changed }) {
  try {
    for (const path of changed) vitest.invalidateFile(path);
    const specifications = await vitest.globTestSpecifications([test]);
    const result = await vitest.runTestSpecifications(specifications);
    const path = specifications[0]?.moduleId;
    const modules = result.testModules.filter(({ moduleId }) => moduleId === path); // earlier runs are reported too
    const failed = modules.flatMap(({ children }) => [...children.allTests("failed")].map(({ fullName }) => fullName));
    const broken = modules.flatMap((module) => module.errors().map(({ message }) => message));
    const errors = result.unhandledErrors.map((error) => String(error?.message ?? error));
    const passed = modules.flatMap(({ children }) => [...children.allTests("passed")]).length;
    const isOk = modules.length > 0 && modules.every((module) => module.ok());
    const failures = [...failed, ...broken, ...errors, ...(isOk ? [] : ["a suite or hook failed"])];
    process.send({ passed, failures });
  } catch (error) {
    process.send({ passed: 0, failures: [String(error?.stack ?? error)] });
  }
}
process.on("disconnect", () => process.exit());
process.send({ ready: true });
