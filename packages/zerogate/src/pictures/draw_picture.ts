/**
 * Pictures that the program draws itself, so that a base can learn to see without anybody's photos: one thing before a plain
 * background, its size, place and shade as the seed says. The same seed draws the same bytes on every machine.
 */
import { uniform } from "@zerogate/core/training";
import type { RgbImage } from "@zerogate/core/vision";

/** What is drawn, and in which colour. */
export interface Thing {
  readonly shape: Shape;
  readonly colour: Colour;
}

export type Shape = (typeof shapes)[number];
export type Colour = keyof typeof colours;

export const shapes = ["ball", "box", "star"] as const;

/** Red, green, blue. */
export const colours = {
  red: [215, 45, 40],
  green: [45, 165, 60],
  blue: [50, 80, 215],
  yellow: [235, 205, 45],
} as const;

/** Pixels of a side. */
export const PICTURE_SIDE = 64;
/** Points of a pixel's side that decide how much of it is covered. */
const POINTS = 4;

/** Corners of a five-pointed star of radius 1, outer and inner in turn, y downwards. */
const corners: readonly (readonly [x: number, y: number])[] = [
  [0, -1],
  [0.2245, -0.309],
  [0.9511, -0.309],
  [0.3633, 0.118],
  [0.5878, 0.809],
  [0, 0.382],
  [-0.5878, 0.809],
  [-0.3633, 0.118],
  [-0.9511, -0.309],
  [-0.2245, -0.309],
];

/** Each edge from one corner to the next. */
const edges = corners.map(([ax, ay], i) => {
  const [bx, by] = corners[(i + 1) % corners.length] ?? [ax, ay];
  return { ax, ay, by, slope: (bx - ax) / (by - ay) };
});

/** Whether a point is in the shape of radius 1 around the origin. */
const covers: Readonly<Record<Shape, (x: number, y: number) => boolean>> = {
  ball: (x, y) => x * x + y * y < 1,
  box: (x, y) => Math.max(Math.abs(x), Math.abs(y)) < 0.85,
  star: isInStar,
};

/** Counts the edges to the right of the point: an odd number of them surrounds it. */
function isInStar(x: number, y: number): boolean {
  let inside = false;
  for (const { ax, ay, by, slope } of edges) {
    if (ay > y !== by > y && x < ax + (y - ay) * slope) inside = !inside;
  }
  return inside;
}

/**
 * Draws a thing.
 *
 * @param seed chooses its size, place and shade, and the background.
 * @example
 * const { width, data } = drawPicture({ shape: "ball", colour: "red" }, 7); // 64, 64 · 64 · 3 bytes
 */
export function drawPicture({ shape, colour }: Thing, seed: number): RgbImage {
  let drawn = 0;
  const between = (low: number, high: number) => low + (high - low) * uniform(seed, drawn++);
  const side = PICTURE_SIDE;
  const radius = between(11, 25);
  const [x0, y0] = [between(radius, side - radius), between(radius, side - radius)];
  const shade = between(0.75, 1.1);
  const paint = colours[colour].map((value) => level(value * shade + between(-12, 12)));
  const grey = between(70, 200);
  const ground = [0, 1, 2].map(() => level(grey + between(-14, 14)));
  const data = new Uint8Array(3 * side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const near = Math.abs(x + 0.5 - x0) < radius + 1 && Math.abs(y + 0.5 - y0) < radius + 1;
      const share = near ? coveredShare(covers[shape], { x: x - x0, y: y - y0, radius }) : 0;
      for (let c = 0; c < 3; c++) {
        data[3 * (y * side + x) + c] = level((paint[c] ?? 0) * share + (ground[c] ?? 0) * (1 - share));
      }
    }
  }
  return { width: side, height: side, data };
}

/** Returns how much of a pixel is covered; x and y are its corner, seen from the middle of the thing. */
function coveredShare(
  isCovered: (x: number, y: number) => boolean,
  { x, y, radius }: { x: number; y: number; radius: number },
): number {
  let covered = 0;
  for (let p = 0; p < POINTS * POINTS; p++) {
    const [px, py] = [x + ((p % POINTS) + 0.5) / POINTS, y + (Math.floor(p / POINTS) + 0.5) / POINTS];
    if (isCovered(px / radius, py / radius)) covered++;
  }
  return covered / POINTS ** 2;
}

const level = (value: number): number => Math.round(Math.min(255, Math.max(0, value)));
