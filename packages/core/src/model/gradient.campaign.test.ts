/** Gradients of every tiny base with every kind of adapter; gradient.test.ts lets the kinds take turns. */
import { gradientKinds, gradientTests } from "../../test/gradient_tests.ts";
import { tinyBases } from "../../test/tiny_bases.ts";

for (const base of tinyBases) gradientTests(base, gradientKinds);
