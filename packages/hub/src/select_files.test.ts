import { expect, test } from "vitest";
import { selectFiles } from "./select_files.ts";

const model = { kind: "model", id: "a/b", revision: "main" } as const;
const attempt = "Cannot download a/b";

/** Paths that are taken of these. */
function taken(paths: readonly string[], options: Parameters<typeof selectFiles>[1] = {}, name: object = {}): string[] {
  const files = paths.map((path) => ({ path, bytes: 1, hash: path }));
  return selectFiles({ name: { ...model, ...name }, files }, options, attempt).files.map(({ path }) => path);
}

const whole = [
  ".gitattributes",
  "README.md",
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer.model",
  "merges.txt",
  "chat_template.jinja",
];

test("of a model in several GGUF files all parts are taken, by the name of one", () => {
  const files = [
    "q4-00001-of-00002.gguf",
    "q4-00002-of-00002.gguf",
    "q8-00001-of-00002.gguf",
    "q4-00001-of-00003.gguf",
  ];
  expect(taken(files, {}, { path: files[0] })).toEqual(files.slice(0, 2));
});

test("weights, settings, tokenizers and templates are needed, of one copy, without what can run code [M-hub-download]", () => {
  const used = whole.slice(2);
  const shards = [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
  ];
  const others = [
    "pytorch_model.bin",
    "modeling.py",
    "tokenizer.py",
    "consolidated.safetensors",
    "model.fp16.safetensors",
    "onnx/model.onnx",
    "onnx/config.json",
    "x.gguf",
  ];
  expect(taken([...whole, ...shards, ...others])).toEqual([...used, ...shards]);
  expect(taken([...whole, ...shards, "model.safetensors", ...others])).toEqual([
    ...used,
    "model.safetensors.index.json",
    "model.safetensors",
  ]);
  expect(taken(["config.json", "consolidated.safetensors"])).toEqual(["config.json", "consolidated.safetensors"]);
  expect(
    taken(["adapter_config.json", "adapter_model.safetensors", "zerogate.json", "vision.safetensors"]),
  ).toHaveLength(4);
});

test("patterns add and take away, * also over folders as in Python [M-hub-download]", () => {
  const paths = ["config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "README.md"];
  expect(taken(paths, { include: ["*.bin"] })).toEqual(["config.json", "model.safetensors", "pytorch_model.bin"]);
  expect(taken(paths, { include: ["onnx/"], exclude: ["*.safetensors"] })).toEqual(["config.json", "onnx/model.onnx"]);
  expect(taken(paths, { include: ["R?ADME.md", "model[s]*"] })).toEqual([
    "config.json",
    "model.safetensors",
    "README.md",
  ]);
  expect(taken(paths, { include: ["*"], exclude: ["onnx/*", "*.bin"] })).toEqual([
    "config.json",
    "model.safetensors",
    "README.md",
  ]);
});

test("a folder or a file that the name has is all that is taken; of a dataset all but programs [M-hub-download]", () => {
  const paths = [
    "config.json",
    "model.safetensors",
    "one/adapter_config.json",
    "one/adapter_model.safetensors",
    "q4.gguf",
    "q8.gguf",
  ];
  expect(taken(paths, {}, { path: "one" })).toEqual(["one/adapter_config.json", "one/adapter_model.safetensors"]);
  expect(taken(paths, {}, { path: "q4.gguf" })).toEqual(["q4.gguf"]);
  const data = ["README.md", "data/train.parquet", "load.py", "data/x.csv", ".gitattributes", "x.pkl"];
  expect(taken(data, {}, { kind: "dataset" })).toEqual(["README.md", "data/train.parquet", "data/x.csv"]);
  expect(taken(data, {}, { kind: "dataset", path: "data" })).toEqual(["data/train.parquet", "data/x.csv"]);
});

test.each([
  [
    ["config.json", "pytorch_model.bin"],
    'it has weights as pickles only, which can run code elsewhere (pytorch_model.bin): --include "pytorch_model.bin" fetches it',
  ],
  [
    ["config.json", "q4.gguf", "q8.gguf"],
    "it has weights in GGUF only (q4.gguf, q8.gguf): name one of them, as OWNER/NAME/FILE.gguf",
  ],
  [["README.md"], 'it has nothing that is needed (it holds README.md): --include "*" fetches all'],
  [[], 'it holds nothing: --include "*" fetches all'],
  [
    ["aux.json", "model.safetensors"],
    'the name "aux.json" has a part that is a device on Windows: leave it out with --exclude',
  ],
  [
    ["Config.json", "config.json"],
    "Config.json and config.json are one file on some systems: leave one out with --exclude",
  ],
])("%j is refused with what to type [M-hub-refusals]", (paths, problem) => {
  expect(() => taken(paths)).toThrow(`${attempt}: ${problem}`);
});
