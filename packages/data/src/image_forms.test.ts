/** Forms of data with images: captions of photos and conversations about them. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { absent, sharedPath } from "../../core/test/shared.ts";
import { findMissingImages } from "./record_images.ts";
import { describeProblem } from "./record_problems.ts";
import { type ReadOptions, readRecords } from "./records.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "zerogate-image-forms-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(name: string, content: unknown, options: Omit<ReadOptions, "chats"> = {}) {
  const path = join(folder, name);
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content, null, options.skipBad ? 1 : 0));
  const { records, images, problems, unread } = await readRecords(path, { images: true, ...options });
  const said = problems.map((problem) => describeProblem(problem).replace(`${path}, `, ""));
  return { records, images: images.map(({ record, paths }) => [record, ...paths]), problems: said, unread };
}
const caption = (output: string) => ({ instruction: "Generate caption of this image", input: "", output });

const coco = {
  info: {},
  images: [
    { id: 7, file_name: "7.jpg" },
    { id: 9, file_name: "9.jpg" },
  ],
  annotations: [
    { id: 1, image_id: 9, caption: " A cat. " },
    { id: 2, image_id: 7, caption: "A dog." },
    { id: 3, image_id: 9, caption: "Cats." },
  ],
};

test("COCO's captions are a record each, with its photo", async () => {
  const { records, images, problems, unread } = await read("captions.json", coco);
  expect(records).toEqual(["A cat.", "A dog.", "Cats."].map(caption));
  expect(images).toEqual([
    [0, "9.jpg"],
    [1, "7.jpg"],
    [2, "9.jpg"],
  ]);
  expect([...problems, ...unread]).toEqual([]);
});

test("annotations without a photo or a caption are problems, named by their place", async () => {
  const annotations = [{ image_id: 8, caption: "x" }, ...coco.annotations, { image_id: 7, caption: " " }, 5];
  const { records, problems } = await read("broken.json", { ...coco, annotations }, { skipBad: true });
  expect(records).toHaveLength(3);
  expect(problems).toEqual([
    'record 0, field "image_id": found "8", of which images has no file_name, expected the id of an image',
    'record 4, field "caption": found an empty text, expected a text that is not empty',
    "record 5: found number, expected an annotation with a caption",
  ]);
});

test("a table of files and captions is read by its header, Windows' line breaks too", async () => {
  const { records, images } = await read("table.csv", "url\tcaption\r\na/1.jpg\tA cat, sleeping\r\n\r\nb.jpg\tA dog");
  expect(records).toEqual(["A cat, sleeping", "A dog"].map(caption));
  expect(images).toEqual([
    [0, "a/1.jpg"],
    [1, "b.jpg"],
  ]);
  const broken = await read("table.csv", "url\tcaption\na.jpg\tA cat\nb.jpg\nc.jpg\ta\tb\nd.jpg\t", { skipBad: true });
  expect(broken.problems).toEqual(
    [
      "line 3: found for example 1 columns, expected a path, a tab and a caption",
      'line 5, field "caption": found an empty text, expected a text that is not empty',
    ].map((line) => line.replace("line 3", "lines 3 and 4")),
  );
});

const talk = {
  id: "1",
  image: "7.jpg",
  conversations: [
    { from: "human", value: "<image>\nWhat is it?" },
    { from: "gpt", value: "A cat." },
    { from: "human", value: "Which colour?" },
    { from: "gpt", value: "Black." },
  ],
};

test("each answer of a conversation is a record, with what was said before as its input", async () => {
  const lines = [talk, { ...talk, id: "2", image: undefined, conversations: talk.conversations.slice(2) }];
  for (const content of [lines, lines.map((line) => JSON.stringify(line)).join("\n")]) {
    const { records, images, unread } = await read("talk.json", content);
    expect(records).toEqual([
      { instruction: "What is it?", input: "", output: "A cat." },
      { instruction: "Which colour?", input: "Human: What is it?\nAssistant: A cat.", output: "Black." },
      { instruction: "Which colour?", input: "", output: "Black." },
    ]);
    expect(images).toEqual([
      [0, "7.jpg"],
      [1, "7.jpg"],
    ]);
    expect(unread).toEqual([]);
  }
  const first = await read("talk.json", lines, { conversation: "first" });
  expect(first.records.map(({ output }) => output)).toEqual(["A cat.", "Black."]);
});

test("markers of images go with one line break beside them", async () => {
  const texts = ["<image>\nWhat?", "What?\n<image>", "<image>What?", "<image>\n<image>\nWhat?", "A\n<image>\nB"];
  const items = texts.map((value) => {
    const conversations = [{ from: "human", value }, talk.conversations[1]];
    return { ...talk, image: ["7.jpg", "9.jpg"], conversations };
  });
  const { records } = await read("marks.json", items);
  expect(records.map(({ instruction }) => instruction)).toEqual(["What?", "What?", "What?", "What?", "A\nB"]);
});

test("conversations of another order are problems, named by their turn", async () => {
  const [asked, said] = talk.conversations;
  const items = [
    { ...talk, conversations: [{ from: "system", value: "Be kind." }, asked, said] },
    { ...talk, conversations: [asked, asked] },
    { ...talk, conversations: [asked] },
    { ...talk, image: "" },
    { ...talk, conversations: [asked, said, asked, said] },
    { ...talk, conversations: [{ from: "human", value: 5 }] },
    talk,
  ];
  const { records, problems } = await read("order.json", items, { skipBad: true });
  expect(records).toHaveLength(2);
  expect(problems).toEqual([
    'record 0, field "conversations[0]": found a turn of "system", expected one of "human"',
    'record 1, field "conversations[1]": found a turn of "human", expected one of "gpt"',
    'record 2, field "conversations[0]": found a question without an answer, expected a turn of "gpt" behind it',
    'record 3, field "conversations[0]": found the marker <image> in a record without an image, expected an image',
    'record 4, field "conversations[2]": found the marker <image>, expected it in the first turn only',
    'record 5, field "conversations[0]": found no text, expected from and value',
  ]);
});

test("without images these forms stay what they are, and are named", async () => {
  await expect(read("captions.json", coco, { images: false })).rejects.toThrow(
    'the lists "images" (2), "annotations" (3)',
  );
  await expect(read("talk.json", [talk], { images: false })).rejects.toThrow('it holds conversations ("conversations"');
});

const missing = absent("data/coco-mini");
test.skipIf(missing !== "")(`captions of real photos, all of which are there${missing}`, async () => {
  for (const [name, photos, captions] of [
    ["train2017", 80, 400],
    ["val2017", 159, 795],
  ] as const) {
    const imageRoot = sharedPath(`data/coco-mini/${name}`);
    const { records, images } = await readRecords(sharedPath(`data/coco-mini/captions_${name}.json`), {
      images: true,
      imageRoot,
    });
    expect([records.length, images.length]).toEqual([captions, captions]);
    expect(new Set(images.flatMap(({ paths }) => paths)).size).toBe(photos);
    expect(await readdir(imageRoot)).toHaveLength(photos);
    expect((await findMissingImages(images)).size).toBe(0);
  }
});
