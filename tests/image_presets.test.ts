/** Presets with images through the command: trained for a few steps, asked about an image, evaluated. */
import { test } from "vitest";
import { expectPreset } from "./support/image_presets.ts";

test.each([
  { title: "ScienceQA", preset: ["--preset", "scienceqa"], data: "qa", held: "qa", records: 8, asked: "Which colour?" },
  {
    title: "captions of COCO",
    preset: ["--preset", "captions"],
    data: "captions.json",
    held: "captions.json",
    records: 12,
    asked: "Generate caption of this image",
  },
])("$title: train, generate --image and eval", async (preset) => {
  await expectPreset(preset);
});
