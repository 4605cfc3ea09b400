import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "vitest";
import { absentModules, runPython } from "../../../../tests/support/python.ts";
import { expectSampling } from "../../test/sampling.ts";

const absent = absentModules("torch", "transformers");

test.skipIf(absent !== "")(
  `tokens and probabilities are those of the transformers that is installed${absent}`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "zerogate-sampling-"));
    try {
      const values = join(folder, "values.json");
      await runPython(fileURLToPath(new URL("../../test/make_sampling_values.py", import.meta.url)), values);
      expectSampling(JSON.parse(readFileSync(values, "utf8")));
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
