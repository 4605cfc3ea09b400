/**
 * What Zerogate is held to: the tests of PEFT's own suite (P), our case table (A to F), and tests of litgpt and lit-llama worth
 * mirroring (L). A test says which rows it covers by `[P7]` or `[A3, B2]` in its title.
 */
export interface Row {
  readonly id: string;
  readonly what: string;
  /** Why no test covers it. */
  readonly why?: string;
}

/** Rows that work of its own brings; a test that is tagged with one asks for taking this note out. */
const laterWork = (what: string) => `not covered yet: ${what}`;

export const rows: readonly Row[] = [
  { id: "P1", what: "test_attributes: saving and loading are there" },
  { id: "P2", what: "test_prepare_for_training: nothing below the adapted layers needs a gradient" },
  {
    id: "P3",
    what: "test_prepare_for_int8_training: embedding outputs require a gradient after k-bit preparation",
    why: "cannot apply: there is no autograd tape and no checkpointing hook that could lose a gradient; backward is written out and stops at the lowest adapted layer (P2)",
  },
  { id: "P4", what: "test_save_pretrained_regression: `.bin` round trip", why: laterWork("`.bin` files") },
  { id: "P5", what: "test_save_pretrained: safetensors round trip, exactly the adapter's tensors and files" },
  { id: "P6", what: "test_save_pretrained_selected_adapters", why: laterWork("sets of adapters on disk") },
  {
    id: "P7",
    what: "test_generate: a batch is continued (PEFT's masks of padding do not exist here: sequences are packed)",
  },
  { id: "P8", what: "test_sequence_adapter_ops: base, train, disable, second adapter, switch back, exactly" },
  { id: "P9", what: "test_add_and_set_while_disabled" },
  { id: "P10", what: "test_use_cache: greedy generation with and without a cache" },
  { id: "P11", what: "test_bf16_inference" },
  { id: "P12", what: "test_disable_adapter: an untrained adapter changes nothing" },
  {
    id: "P13",
    what: "test_save_pretrained_multiple_adapters_keeps_weights_apart",
    why: laterWork("sets of adapters on disk"),
  },
  { id: "P14", what: "delete_adapter: active, inactive, unknown" },
  { id: "P15", what: "add_adapter leaves the active adapter" },
  { id: "P16", what: "loading into an inactive adapter leaves the active one" },
  { id: "P17", what: "multi-GPU forward on an 8-bit base", why: "cannot apply: no 8-bit base yet" },
  { id: "P18", what: "multi-GPU forward on a 4-bit base", why: "cannot apply: no 4-bit base yet" },
  {
    id: "P19",
    what: "status APIs raise TypeError",
    why: "cannot apply: the API has no such methods; the compiler says so",
  },
  { id: "P20", what: "an old artefact loads, also under another name, gives its stored logits, and is saved the same" },
  { id: "P21", what: "config suite: task types, round trips, unknown keys, missing peft_type, peft_version" },
  { id: "A1", what: "config JSON: exact bytes of the nine keys; ten keys and unknown keys are read" },
  { id: "A2", what: "every unusable config value is refused" },
  { id: "A3", what: "safetensors to PEFT and back, logits equal" },
  { id: "A4", what: "`.bin` is read and written without executing a pickle", why: laterWork("`.bin` files") },
  { id: "A5", what: "tensor names" },
  { id: "B1", what: "zero gates are the base, bit for bit" },
  { id: "B2", what: "forward with open gates on all bases" },
  { id: "B3", what: "shifted positions" },
  { id: "B4", what: "left-padded batches equal packed sequences" },
  { id: "B5", what: "cached equals uncached, greedy" },
  { id: "B6", what: "bias of the output projection" },
  { id: "B7", what: "head_dim is not D / H, with grouped queries" },
  { id: "B8", what: "gates per head, with and without tanh" },
  { id: "C1", what: "gradients at the start: prompts exactly 0, gates not" },
  { id: "C2", what: "gradients with open gates" },
  { id: "C3", what: "finite differences" },
  { id: "C4", what: "five steps of AdamW" },
  { id: "C5", what: "the base is untouched by training" },
  { id: "D1", what: "sequences of adding, setting, training, deleting" },
  { id: "D2", what: "enabling and disabling are idempotent and nest; no adapter at all" },
  { id: "D3", what: "switching after a move to another engine or precision" },
  { id: "D4", what: "adapters called 3, self, model, default" },
  { id: "D5", what: "missing, surplus, misshaped, misplaced tensors, NaN, truncation" },
  { id: "D6", what: "an adapter loaded for inference has nothing to train" },
  { id: "E1", what: "any number of workers: the same result" },
  { id: "E2", what: "killed and resumed: the same bits" },
  { id: "E3", what: "cells of any size sum to the same gradient" },
  { id: "E4", what: "learning rates of the schedule" },
  { id: "E5", what: "label masking, truncation, special tokens" },
  { id: "E6", what: "weight decay groups" },
  { id: "F1", what: "conversions, refused where lossy", why: laterWork("conversions") },
  { id: "F2", what: "no stale prompt keys and values: validate, train, validate; prompts that never move are named" },
  { id: "L1", what: "litgpt: a file holds exactly the tensors of the adapted layers" },
  { id: "L2", what: "litgpt: the script's checkpoints and its count of trainable parameters" },
  { id: "L3", what: "litgpt: gates are 0 after init" },
  { id: "L4", what: "litgpt: a base checkpoint loads into the adapted model" },
  { id: "L5", what: "litgpt: zero gates equal Hugging Face's Gemma" },
  { id: "L6", what: "litgpt: no graph breaks under compile", why: "cannot apply: nothing is traced or compiled" },
  { id: "L7", what: "litgpt: quantised base, half-precision adapter", why: "cannot apply: no quantised base yet" },
  { id: "L8", what: "litgpt: older gate layouts load", why: laterWork("conversions") },
  { id: "L9", what: "litgpt PR #2327: repeated steps, validate then train, cached equals uncached" },
  { id: "L10", what: "lit-llama #106: parity with the original code" },
];
