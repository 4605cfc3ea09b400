import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { defaultPreprocessor, type PreprocessorFamily, parsePreprocessor } from "./preprocess_config.ts";

const read = (json: unknown, family: PreprocessorFamily = "clip") => parsePreprocessor(json, "p.json", family);
const problems = (json: unknown, family?: PreprocessorFamily): readonly string[] => {
  try {
    read(json, family);
    return [];
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return error.problems;
  }
};
const square = (side: number) => ({ width: side, height: side });

test("an empty file has the defaults of the tower's family", () => {
  for (const family of ["clip", "vit", "siglip"] as const) {
    expect(read({}, family)).toEqual({
      ...defaultPreprocessor(family, 224),
    });
  }
  const { resize, filter, crop } = read({}, "vit");
  expect([resize, filter, crop]).toEqual([square(224), "bilinear", undefined]);
});

test("the class named in the file decides, not the tower", () => {
  const old = { feature_extractor_type: "ViTFeatureExtractor", size: 48 };
  expect(read(old)).toMatchObject({ resize: square(48), filter: "bilinear", crop: undefined });
  expect(read({ image_processor_type: "CLIPImageProcessorFast", size: 48, crop_size: 40 }, "vit")).toMatchObject({
    resize: { shortestEdge: 48 },
    filter: "bicubic",
    crop: square(40),
  });
  expect(problems({ image_processor_type: "BlipImageProcessor" })).toEqual([
    'image_processor_type is "BlipImageProcessor", supported are CLIPImageProcessor, LlavaImageProcessor, ViTImageProcessor, SiglipImageProcessor',
  ]);
});

test("a size is a number, a short side or both; each switch turns its step off", () => {
  expect(read({ size: { shortest_edge: 30, longest_edge: null } }).resize).toEqual({ shortestEdge: 30 });
  expect(read({ size: { height: 30, width: 20 } }).resize).toEqual({ width: 20, height: 30 });
  expect(read({ size: 30, default_to_square: true }).resize).toEqual(square(30));
  expect(read({ size: 30, default_to_square: false }, "vit").resize).toEqual({ shortestEdge: 30 });
  const off = { do_resize: false, do_center_crop: false, do_rescale: false, do_normalize: false };
  expect(read(off)).toEqual({
    resize: undefined,
    filter: "bicubic",
    crop: undefined,
    rescale: 1,
    normalize: undefined,
  });
  expect(read({ image_mean: 0.5, image_std: [1, 2, 3] }).normalize).toEqual({ mean: [0.5, 0.5, 0.5], std: [1, 2, 3] });
});

test("every key is honoured, harmless or refused by name", () => {
  const harmless = { processor_class: "CLIPProcessor", use_fast: true, do_pad: false, crop_pct: null };
  expect(problems({ ...harmless, do_convert_rgb: true, data_format: "channels_first" })).toEqual([]);
  const wrong = {
    resample: 1,
    size: { longest_edge: 5 },
    crop_size: 0,
    do_convert_rgb: false,
    do_pad: true,
    crop_pct: 0.9,
    data_format: "channels_last",
    input_data_format: "channels_last",
    rescale_factor: 0,
    image_std: [1, 0, 1],
    image_mean: [1, 2],
    do_normalize: "yes",
    auto_map: { AutoImageProcessor: "own.Own" },
  };
  const found = problems(wrong);
  expect(found.map((text) => text.split(" ")[0]).toSorted()).toEqual(Object.keys(wrong).toSorted());
  expect(found).toContain("resample is 1, supported are 2 (bilinear) and 3 (bicubic)");
  expect(found).toContain("crop_pct is 0.9: it is not known, remove it if it changes no pixel");
  expect(found).toContain("do_convert_rgb is false, supported is true");
});

test("sizes that are none are refused even if their step is off, and what is no object too", () => {
  for (const size of [0, -3, 2.5, 20_000, "224", {}, { height: 3 }, { height: 3, width: 4, depth: 2 }, []]) {
    expect(problems({ size, do_resize: false }), JSON.stringify(size)).toHaveLength(1);
  }
  expect(problems([])).toEqual(["it is not a JSON object"]);
  expect(() => read(null)).toThrow("Cannot use p.json as a preprocessor config: it is not a JSON object");
});
