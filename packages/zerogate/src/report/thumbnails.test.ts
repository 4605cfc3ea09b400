/** Pictures in a report: small, inside the page, never of a file outside of the folder of images, and no reason for a run to fail. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeImage } from "@zerogate/vision";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodePng } from "../pictures/png.ts";
import { thumbnailKey, thumbnailsOf } from "./thumbnails.ts";

let root: string;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "zerogate-thumbnails-"));
  root = join(folder, "images");
  await mkdir(root);
  const wide = { width: 384, height: 12, data: new Uint8Array(3 * 384 * 12).fill(77) };
  const dot = { width: 2, height: 2, data: Uint8Array.from({ length: 12 }, (_, i) => 20 * i) };
  await writeFile(join(root, "wide.png"), encodePng(wide));
  await writeFile(join(root, "dot.png"), encodePng(dot));
  await writeFile(join(root, "broken.png"), "x");
  await writeFile(join(folder, "secret.png"), encodePng(dot));
});
afterAll(() => rm(join(root, ".."), { recursive: true }));

test("an image is shrunk to 96 pixels or stays as it is, once for all answers about it", async () => {
  const images = ["wide.png", "dot.png", "wide.png"].map((path) => ({ root, path }));
  const made = await thumbnailsOf([{ images }, {}]);
  expect(made.size).toBe(2);
  for (const [path, width, height] of [
    ["wide.png", 96, 3],
    ["dot.png", 2, 2],
  ] as const) {
    const picture = made.get(thumbnailKey({ root, path }));
    expect(picture).toMatchObject({ width, height, url: expect.stringMatching(/^data:image\/png;base64,[\w+/=]+$/) });
    const { url = "" } = picture as { url?: string };
    const decoded = await decodeImage(Buffer.from(url.split(",")[1] ?? "", "base64"), path);
    expect(decoded).toMatchObject({ width, height });
  }
});

test("an image that is gone, broken or outside of its folder is a reason instead of a picture", async () => {
  const paths = ["gone.png", "broken.png", "../secret.png", join(root, "..", "secret.png")];
  const made = await thumbnailsOf([{ images: paths.map((path) => ({ root, path })) }]);
  expect([...made.values()].map((one) => Object.keys(one))).toEqual(paths.map(() => ["problem"]));
});
