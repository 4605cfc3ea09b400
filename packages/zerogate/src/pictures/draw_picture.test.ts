/** Drawn pictures: the same bytes everywhere, things that differ by what they are named for, and nothing outside of the picture. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { type Colour, colours, drawPicture, PICTURE_SIDE, type Shape, shapes } from "./draw_picture.ts";

const things = (Object.keys(colours) as Colour[]).flatMap((colour) =>
  shapes.map((shape: Shape) => ({ shape, colour })),
);

/** Pixels that are of the thing, not of the greyish background: 45 levels or more between their channels. */
function painted({ data }: { data: Uint8Array }): number[] {
  return Array.from({ length: PICTURE_SIDE ** 2 }, (_, i) => i).filter((i) => {
    const pixel = data.subarray(3 * i, 3 * i + 3);
    return Math.max(...pixel) - Math.min(...pixel) > 45;
  });
}

test("a seed draws the same bytes on every machine", () => {
  const hash = createHash("sha256");
  for (const [seed, thing] of things.entries()) hash.update(drawPicture(thing, seed).data);
  expect(hash.digest("hex")).toBe("560be43c10168403f367dd2446433dda17a13e5e73a6a128c18801c4ab9f85e8");
});

test("other seeds draw other pictures", () => {
  const drawn = Array.from({ length: 50 }, (_, seed) => drawPicture({ shape: "ball", colour: "red" }, seed).data);
  expect(new Set(drawn.map((data) => Buffer.from(data).toString("latin1"))).size).toBe(50);
});

test.each(things)("a $colour $shape has its colour and lies in the picture as a whole", (thing) => {
  for (let seed = 0; seed < 20; seed++) {
    const picture = drawPicture(thing, seed);
    const pixels = painted(picture);
    expect(pixels.length).toBeGreaterThan(80);
    const columns = pixels.map((i) => i % PICTURE_SIDE);
    const rows = pixels.map((i) => Math.floor(i / PICTURE_SIDE));
    const [width, height] = [columns, rows].map((list) => Math.max(...list) - Math.min(...list) + 1);
    // Of a square around it, what each shape covers: a box all, a ball π/4, a star 0.31 of it.
    const share = pixels.length / ((width ?? 0) * (height ?? 0));
    const [low, high] = { box: [0.85, 1], ball: [0.68, 0.84], star: [0.2, 0.45] }[thing.shape] as [number, number];
    expect(share).toBeGreaterThanOrEqual(low);
    expect(share).toBeLessThanOrEqual(high);
    const mean = (list: readonly number[]) => Math.round(list.reduce((sum, at) => sum + at, 0) / list.length);
    const middle = mean(rows) * PICTURE_SIDE + mean(columns);
    const [red = 0, green = 0, blue = 0] = picture.data.subarray(3 * middle, 3 * middle + 3);
    const found = { red: red > green && red > blue && green < 0.7 * red, green: green > red, blue: blue > red };
    expect({ yellow: red > blue && green > 0.7 * red && green > blue, ...found }[thing.colour]).toBe(true);
  }
});
