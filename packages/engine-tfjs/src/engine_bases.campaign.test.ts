/** What cells leave out, on every base and every backend that runs here; some of the bases: engine.test.ts. */
import { describeLabelled } from "../../core/test/labelled_rows.ts";
import { describeShared } from "../../core/test/shared_beginnings.ts";
import { backends } from "../test/backends.ts";
import { createEngine } from "./engine.ts";

for (const { backend } of backends.filter(({ absent }) => absent === "")) {
  const open = () => createEngine({ backend });
  describeShared(`tfjs:${backend}`, open, 1e-5);
  describeLabelled(`tfjs:${backend}`, open, 1e-5);
}
