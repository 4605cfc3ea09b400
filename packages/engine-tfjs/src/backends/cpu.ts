/** Plain JavaScript: a few hundred MFLOP/s, for tests and as a judge of the others. */

import { importTensorflow } from "../packages.ts";
import { plainProducts } from "../products.ts";
import type { Backend } from "../tf.ts";
import { start } from "./start.ts";

export async function openCpu(): Promise<Backend> {
  const tf = await importTensorflow("cpu");
  await start(tf, "cpu", "cpu");
  const version = tf.version_core;
  const nothing = () => {};
  return {
    tf,
    id: "cpu",
    version,
    products: plainProducts(tf),
    ensure: nothing,
    endArena: nothing,
    checkDevice: nothing,
  };
}
