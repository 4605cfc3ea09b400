/** What training on images has to show, from a file's pixels to an answer. A test says which rows it covers by `[V2]` or `[V9, V11]` in its title. */
import type { Row } from "./table.ts";

export const imageRows: readonly Row[] = [
  { id: "V1", what: "resize and preprocessing: the bytes of Pillow, the numbers of transformers" },
  {
    id: "V2",
    what: "decoding: Pillow's bytes, or a typed error (alpha, grey, CMYK, 16 bits, EXIF, cut-off files, 1 × 1, thin images, bombs)",
  },
  { id: "V3", what: "towers (CLIP, ViT, SigLIP): every hidden state, embeds, projected tokens, pooler" },
  { id: "V4", what: "vit-cifar10: its logits, and 73.5 % of its 200 images right" },
  {
    id: "V5",
    what: "fusion `global`: logits, loss, gradients, five steps, greedy text, a batch with one, another, no and two images",
  },
  {
    id: "V6",
    what: "fusion `query`: the same; several images, missing ones, runs, answers, and released files both ways",
  },
  {
    id: "V7",
    what: "identity: zero gates have the base's bits, a fresh projection the text adapter's; a text record's bits do not depend on images beside it",
  },
  { id: "V8", what: "one vector a sequence and layer equals prompts made for each sequence" },
  {
    id: "V9",
    what: "1, 2, 3 workers, killed and resumed, features from a cold and a warm cache: one SHA-256",
  },
  { id: "V10", what: "PEFT loads the folder as a text adapter, with our logits without an image" },
  {
    id: "V11",
    what: "a cache of features that is damaged, short, of another tower or written twice: computed again, never wrong",
  },
  { id: "V12", what: "ScienceQA: the official prompts byte for byte, and three baselines to two decimals" },
  { id: "V13", what: "shuffled and missing images lower the accuracy" },
  { id: "V14", what: "hostile images and paths: typed errors, nothing read outside the root" },
];
