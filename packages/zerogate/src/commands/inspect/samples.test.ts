import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { describeSamples, sampleRecords } from "./samples.ts";

const model = fileURLToPath(new URL("../../../../trainer/world/base", import.meta.url));
const said = (...texts: string[]) => texts.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
const chats = [{ messages: said("Who </s>?", "Ann.", "Über?", "Ja 🙂") }, { messages: said("What?", "A cat.") }];

async function fileOf(records: readonly object[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-samples-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "d.json");
  await writeFile(path, JSON.stringify(records));
  return path;
}

test("samples show what is trained of chats between marks, and what is cut off [D-chat-inspect]", async () => {
  const path = await fileOf(chats);
  const flags = { sample: "2", model, template: "zephyr" };
  const text = describeSamples(await sampleRecords(path, flags));
  expect(text).toContain(
    "<|user|>\nWho </s>?</s>\n<|assistant|>\n⟦Ann.</s>⟧\n<|user|>\nÜber?</s>\n<|assistant|>\n⟦Ja 🙂</s>⟧",
  );
  expect(text).toMatch(/^sample 1: \d+ tokens, \d+ trained\n[^]*\n\nsample 2: \d+ tokens, \d+ trained\n/);
  const last = await sampleRecords(path, { ...flags, turns: "last" });
  expect(last[0]?.parts.filter(({ isTrained }) => isTrained).map((part) => part.text)).toEqual(["Ja 🙂</s>"]);
  const [first] = last;
  const maxLength = String((first?.tokens ?? 0) - 2);
  const [cut] = await sampleRecords(path, { ...flags, maxLength });
  expect(cut?.cut).toBeGreaterThan(2); // behind the first answer, not in the second
  expect(cut?.parts.at(-1)).toEqual({ isTrained: true, text: "Ann.</s>" });
  const none = describeSamples(await sampleRecords(path, { ...flags, sample: "1", maxLength: "3" }));
  expect(none).toBe("sample 1: nothing that is trained is left within --max-length\n");
});

test("instructions are shown under alpaca unless a template is named", async () => {
  const path = await fileOf([{ instruction: "Name it", output: "Tom" }]);
  const [sample] = await sampleRecords(path, { sample: "1", model });
  expect(sample?.parts.map(({ isTrained }) => isTrained)).toEqual([false, true]);
  expect(sample?.parts[0]?.text).toMatch(/### Instruction:\nName it\n\n### Response:$/);
  expect(sample?.parts[1]?.text).toBe("Tom</s>");
});

test("what is missing or wrong is said at once", async () => {
  const path = await fileOf(chats);
  await expect(sampleRecords(path, { sample: "0", turns: "some" })).rejects.toThrow(
    /Cannot show samples of [^]*--sample is "0"[^]*--turns is "some"[^]*--model is missing: name the base/,
  );
  await expect(sampleRecords(path, { sample: "1", model })).rejects.toThrow(/has no chat template .*--template zephyr/);
});
