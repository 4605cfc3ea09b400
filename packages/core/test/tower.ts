/** What every engine has to compute of towers: transformers' numbers, and an image's own in any company. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Engine } from "../src/engine/engine.ts";
import { readTower } from "../src/node/tower_files.ts";
import { parseTowerConfig } from "../src/vision/tower/config.ts";
import { createTower, type Tower } from "../src/vision/tower/tower.ts";
import { towerFeatures } from "../src/vision/tower/tower_features.ts";
import { fileOf, noiseNumbers, noiseTensors } from "./noise_tower.ts";
import made from "./tower_values.json" with { type: "json" };

type Case = { readonly config: object; readonly names: readonly string[]; readonly values: Record<string, string> };
export const towerCases = made.cases as unknown as Readonly<Record<string, Case>>;
/** Of the images of the cases. */
export const towerSide: number = made.side;
export const towerPixels: readonly Float32Array[] = [0, 1].map((i) => noiseNumbers(`image ${i}`, 3 * made.side ** 2));

export const floats = (base64 = ""): Float32Array =>
  new Float32Array(Uint8Array.from(Buffer.from(base64, "base64")).buffer);

/** Reads a case's tower by way of a folder. */
export async function openCase(title: string, engine: Engine): Promise<Tower> {
  const config = towerCases[title]?.config ?? {};
  const folder = await mkdtemp(join(tmpdir(), "zerogate-tower-"));
  try {
    const tensors = noiseTensors(parseTowerConfig(config, "config.json"));
    await writeFile(join(folder, "config.json"), JSON.stringify(config));
    await writeFile(
      join(folder, "model.safetensors"),
      fileOf(tensors, (name) => name),
    );
    const { config: read, image } = await readTower(folder);
    return createTower(engine, read, image);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The largest difference relative to the largest number. */
export function distance(found: Float32Array, expected: Float32Array): number {
  expect(found).toHaveLength(expected.length);
  const scale = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return found.reduce((worst, x, i) => Math.max(worst, Math.abs(x - (expected[i] ?? Number.NaN)) / scale), 0);
}

/** @param tolerance of the largest number; 1e-5 in float32. */
export function describeTowers(name: string, open: () => Engine | Promise<Engine>, tolerance = 1e-5): void {
  describe(`towers on ${name}`, () => {
    test.each(Object.keys(towerCases))("%s: transformers' states, pooled and embedded [V3]", async (title) => {
      const tower = await openCase(title, await open());
      for (const [feature, expected] of Object.entries(towerCases[title]?.values ?? {})) {
        const { values } = await towerFeatures(tower, towerPixels, { features: [feature], featureNorm: "none" });
        expect(distance(values, floats(expected)), feature).toBeLessThan(tolerance);
      }
    });

    test("an image has the same bits alone and among others", async () => {
      const tower = await openCase("clip d 12", await open());
      const many = Array.from({ length: 7 }, (_, i) => noiseNumbers(`other ${i}`, 3 * towerSide ** 2));
      const options = { features: ["cls@0", "mean@2", "pooled", "embeds"] };
      const [, , third] = many;
      const alone = await towerFeatures(tower, third ? [third] : [], options);
      for (const batchSize of [1, 3, 7]) {
        const { shape, values } = await towerFeatures(tower, many, { ...options, batchSize });
        const [, C = 0] = shape;
        expect(new Uint8Array(values.slice(2 * C, 3 * C).buffer)).toEqual(new Uint8Array(alone.values.buffer));
      }
    });
  });
}
