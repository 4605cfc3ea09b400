/** Weights used where they lie in their file: the same bits, shared between threads, and a changed file is an error, not a crash. */
import { mkdtemp, rename, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadAddon, probe } from "./addon.ts";
import { createEngine } from "./engine.ts";

const { mapsFiles, reason: absent } = probe();
const reason = mapsFiles ? "" : ` (skipped: ${absent ?? "files are mapped on Linux only"})`;

const [rows, columns] = [200, 300];
const halves = Uint16Array.from({ length: rows * columns }, (_, i) => 0x3f00 + ((i * 37) % 256));
const byteLength = halves.byteLength;
let folder: string;
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "zerogate-mapped-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The weight at an odd page offset, with a neighbour before it. */
async function weightFile(): Promise<{ path: string; offset: number }> {
  const path = join(folder, `${count++}.bin`);
  const offset = 5002;
  await writeFile(path, Buffer.concat([Buffer.alloc(offset, 7), new Uint8Array(halves.buffer)]));
  return { path, offset };
}

const x = Float32Array.from({ length: 4 * columns }, (_, i) => Math.sin(i));

describe.skipIf(reason !== "")(`mapped weights${reason}`, () => {
  const open = () => {
    const { mapped, ...engine } = createEngine();
    if (!mapped) throw new TypeError("this engine maps no files");
    const product = (weight: ReturnType<typeof mapped>) =>
      engine.arena(() => engine.read(engine.linear(engine.upload(x), weight, { T: 4 })));
    return { engine, mapped, product };
  };
  const tensor = { dtype: "bf16", shape: [rows, columns], byteLength } as const;

  test("give the bits of the same weights in memory, from several engines at once", async () => {
    const file = await weightFile();
    const { engine, product } = open();
    const expected = await product(engine.matrix({ ...tensor, bytes: new Uint8Array(halves.buffer) }));
    for (const other of [open(), open(), open()]) {
      expect(await other.product(other.mapped({ ...tensor, ...file }))).toEqual(expected);
    }
  });

  test("a file that a rename replaced stays as it was opened", async () => {
    const file = await weightFile();
    const { mapped, product } = open();
    const weight = mapped({ ...tensor, ...file });
    const before = await product(weight);
    await writeFile(`${file.path}.new`, "something else");
    await rename(`${file.path}.new`, file.path);
    expect(await product(weight)).toEqual(before);
  });

  test("bytes that are not there are refused by name", async () => {
    const { path, offset } = await weightFile();
    const { mapped } = open();
    const last = offset + byteLength;
    expect(() => mapped({ ...tensor, path, offset: offset + 2 })).toThrow(
      `Cannot map a weight file: ${path}, bytes ${offset + 2} to ${last + 2}: it ends before`,
    );
    expect(() => mapped({ ...tensor, path: join(folder, "nowhere"), offset })).toThrow("No such file");
    expect(() => mapped({ ...tensor, path, offset: -2 })).toThrow(RangeError);
    expect(() => mapped({ ...tensor, path, offset, byteLength: byteLength - 2 })).toThrow("Cannot use a weight");
    for (const wrong of [undefined, 3, "x".repeat(5000)] as never[]) {
      expect(() => loadAddon().addon.mapFile?.(wrong, 0, 1)).toThrow(TypeError);
    }
  });

  // Last: from then on every arena of this process fails while the changed file is in use.
  test("a file that is written to, or cut short under the mapping, fails the arena and not the process", async () => {
    const [touched, cut] = [await weightFile(), await weightFile()];
    const { engine, mapped, product } = open();
    const weight = mapped({ ...tensor, ...touched });
    await product(weight);
    await utimes(touched.path, new Date(), new Date(Date.now() + 5000));
    await expect(product(weight)).rejects.toThrow(
      `Cannot use what was computed: the weight file was changed meanwhile, start again from ${touched.path}`,
    );
    expect(() => mapped({ ...tensor, ...touched })).toThrow("it was changed while it is in use");

    const short = mapped({ ...tensor, ...cut });
    await truncate(cut.path, 100);
    await expect(product(short)).rejects.toThrow("the weight file was changed meanwhile");
    await expect(engine.arena(async () => 1)).rejects.toThrow("Cannot use what was computed");
  });
});
