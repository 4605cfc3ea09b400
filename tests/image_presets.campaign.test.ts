/** Conversations about images through the command: trained for a few steps, asked about an image, evaluated. */
import { test } from "vitest";
import { expectPreset } from "./support/image_presets.ts";

test.each([
  {
    title: "conversations of LLaVA",
    preset: ["--fusion", "query", "--vision-embed", "8"],
    data: "talks.json",
    held: "talks.json",
    records: 24,
    asked: "Which colour?",
  },
  {
    title: "first turns of conversations",
    preset: ["--conversation", "first"],
    data: "talks.json",
    held: "talks.json",
    records: 12,
    asked: "What is it?",
  },
])("$title: train, generate --image and eval", async (preset) => {
  await expectPreset(preset);
});
