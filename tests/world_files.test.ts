/** What ships as the embedded world: the files that its README lists, byte for byte, and no other. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readTower } from "@zerogate/core/node";
import { expect, test } from "vitest";

const world = fileURLToPath(new URL("../packages/trainer/world", import.meta.url));

test("the README of the world lists every file with its size and hash", () => {
  const files = readdirSync(world, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(world.length + 1)
        .replaceAll("\\", "/"),
    )
    .filter((name) => !["README.md", "quickstart.yaml", "pictures.yaml"].includes(name));
  const rows = files.map((name) => {
    const bytes = readFileSync(join(world, name));
    return `| \`${name}\` | ${bytes.length} | \`${createHash("sha256").update(bytes).digest("hex")}\` |`;
  });
  const readme = readFileSync(join(world, "README.md"), "utf8");
  expect(readme.match(/^\| `.*$/gm)?.toSorted()).toEqual(rows.toSorted());
});

test("the embedded tower loads but for its classifier, and its licence names both authors", async () => {
  const warnings: string[] = [];
  const { config, preprocess } = await readTower(join(world, "tower"), { onWarning: (text) => warnings.push(text) });
  expect(warnings).toEqual([
    expect.stringMatching(/^2 tensors in .* are not read: classifier.bias, classifier.weight$/),
  ]);
  expect(config).toMatchObject({ family: "vit", imageSize: 32, hiddenSize: 48, layers: 4, finalNorm: false });
  expect(preprocess).toMatchObject({ filter: "bilinear" });
  const licence = readFileSync(join(world, "tower", "LICENSE"), "utf8");
  expect(licence.match(/^Copyright.*$/gm)).toEqual([
    "Copyright (c) 2023 Junhyoung Ryu",
    "Copyright (c) 2023 Tin Nguyen",
  ]);
});
