/** A PNG of one colour with a square of another in it, made without a library. */
import { crc32, deflateSync } from "node:zlib";

type Colour = readonly [r: number, g: number, b: number];

const SIDE = 32;

export function drawnPng(ground: Colour, square: Colour, at: number): Uint8Array {
  const rows = Array.from({ length: SIDE }, (_, y) => [
    0, // no filter
    ...Array.from({ length: SIDE }, (__, x) =>
      Math.max(Math.abs(x - at), Math.abs(y - at)) < 6 ? square : ground,
    ).flat(),
  ]);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(SIDE, 0);
  header.writeUInt32BE(SIDE, 4);
  header.set([8, 2], 8); // eight bits, RGB
  const parts = [
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Uint8Array.from(rows.flat()))),
    chunk("IEND", new Uint8Array()),
  ];
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...parts]);
}

function chunk(name: string, body: Uint8Array): Buffer {
  const named = Buffer.concat([Buffer.from(name, "latin1"), body]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}
