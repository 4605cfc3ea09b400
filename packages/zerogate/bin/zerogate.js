#!/usr/bin/env node
// Committed, so that the command can be linked before the first build.
import { existsSync } from "node:fs";

const built = new URL("../dist/bin.js", import.meta.url);
if (existsSync(built)) await import(built.href);
else {
  process.stderr.write("Cannot start zerogate: it is not built yet, run `npm run setup` in the repository first\n");
  process.exitCode = 1;
}
