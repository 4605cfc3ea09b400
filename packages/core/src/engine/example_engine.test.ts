/** The example of an engine of one's own (docs/engines.md) passes the suite that every engine passes. */
import { describeEngine } from "../../test/conformance.ts";
import type { Engine } from "./engine.ts";

const module = new URL("../../../../examples/engine/engine.mjs", import.meta.url).href;

describeEngine(
  "examples/engine",
  async () => ((await import(module)) as { createEngine(): Engine }).createEngine(),
  2e-6,
);
