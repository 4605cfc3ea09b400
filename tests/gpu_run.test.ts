/** How the pack for a GPU machine starts (scripts/gpu_run.sh): libraries of pip are found also if python3 is only a link or wrapper. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { testFolder } from "./support/cli.ts";

const folder = testFolder();
const absent = process.platform === "win32" ? " (skipped: it is a script of sh)" : "";

test.skipIf(absent !== "")(
  `VIRTUAL_ENV is the environment of the python3 of the PATH, unless it is set${absent}`,
  () => {
    // Unpacked already.
    const to = join(folder, "unpacked");
    for (const path of [join(to, "work/app"), join(folder, "bin")]) mkdirSync(path, { recursive: true });
    copyFileSync(fileURLToPath(new URL("../scripts/gpu_run.sh", import.meta.url)), join(folder, "run.sh"));
    for (const path of [join(folder, "stamp"), join(to, "stamp")]) writeFileSync(path, "1\n");
    writeFileSync(join(folder, "bin/python3"), "#!/bin/sh\necho /of/the/wrapper\n", { mode: 0o755 });
    const shown = (own: Record<string, string>) =>
      execFileSync("sh", [join(folder, "run.sh"), "sh", "-c", 'echo "$VIRTUAL_ENV"'], {
        env: { PATH: `${join(folder, "bin")}:/usr/bin:/bin`, ZEROGATE_UNPACK: to, ...own },
        encoding: "utf8",
      }).trim();
    expect(shown({})).toBe("/of/the/wrapper");
    expect(shown({ VIRTUAL_ENV: "/mine" })).toBe("/mine");
  },
);
