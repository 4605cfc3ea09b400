/** The operations of an Engine that have glue of their own in every engine; the flat ones are in operations.ts. */
import type { FlatName, OperationName, SpecialOperation } from "./operation_rows.ts";

const noExperts = "nothing: bases with experts are refused";
const noDeltaNets = "nothing: bases with delta nets are refused";
const forwardOnly = { backward: undefined } as const;
const plainWide = "core's kernels/wide_linear.ts, in plain TypeScript";
const bothAtOnce = "attention and promptAttention, one after the other; their backwards likewise";

/** The operations that are not flat, by name, each with the reason. */
export const specialOperations: { readonly [Name in Exclude<OperationName, FlatName>]: SpecialOperation } = {
  embed: { because: "its table is a weight of two sizes, its error names the token", ...forwardOnly, tolerance: 1 },
  linear: {
    because: "rows of a weight in any dtype, packed copies, an order",
    backward: "linearBackward",
    tolerance: 1,
  },
  linearBackward: { because: "as linear", backward: undefined, tolerance: 1 },
  groupedLinear: {
    because: "as linear, with parts of a weight",
    backward: "groupedLinearBackward",
    tolerance: 1,
    fallBack: noExperts,
  },
  groupedLinearBackward: { because: "as groupedLinear", backward: undefined, tolerance: 1, fallBack: noExperts },
  rope: { because: "head sizes; its backward is its inverse", backward: "rope", tolerance: 1, inPlace: true },
  attention: { because: "head sizes and offsets of sequences", backward: "attentionBackward", tolerance: 1 },
  attentionBackward: { because: "as attention", backward: undefined, tolerance: 4 },
  cachedAttention: { because: "writes to caches", ...forwardOnly, tolerance: 1 },
  promptAttention: {
    because: "a list of sets, each with an array and gates of its own",
    backward: "promptAttentionBackward",
    tolerance: 1,
  },
  promptAttentionBackward: {
    because: "as promptAttention; adds to a gradient in place",
    backward: undefined,
    tolerance: 8,
  },
  promptedAttention: {
    because: "as promptAttention",
    backward: "promptedAttentionBackward",
    tolerance: 1,
    fallBack: bothAtOnce,
  },
  promptedAttentionBackward: {
    because: "as promptAttention",
    backward: undefined,
    tolerance: 8,
    fallBack: bothAtOnce,
  },
  gatedDelta: {
    because: "offsets of sequences, states that it changes",
    backward: "gatedDeltaBackward",
    tolerance: 4,
    fallBack: noDeltaNets,
  },
  gatedDeltaBackward: { because: "as gatedDelta", backward: undefined, tolerance: 16, fallBack: noDeltaNets },
  headLoss: { because: "cells, labels, and its gradient in the same call", backward: "headLoss", tolerance: 2 },
  addFixedPoint: {
    because: "works on memory of the host, with the bits of core's",
    ...forwardOnly,
    tolerance: 0,
    fallBack: "core's addFixedPoint, in plain TypeScript",
  },
  wideLinear: {
    because: "works on float64 memory of the host, with the bits of core's",
    backward: "wideLinearBackward",
    tolerance: 0,
    fallBack: plainWide,
  },
  wideLinearBackward: { because: "as wideLinear", backward: undefined, tolerance: 0, fallBack: plainWide },
};
