import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { absent, sharedPath } from "../../core/test/shared.ts";
import pillow from "../test/pillow_decoded.json" with { type: "json" };
import { decodeImage } from "./decode.ts";

for (const [folder, { images, sha256 }] of Object.entries(pillow.folders)) {
  const missing = absent(`data/${folder}`);
  test.skipIf(missing !== "")(`all images of ${folder} have Pillow's bytes [V2]${missing}`, async () => {
    const entries = readdirSync(sharedPath(`data/${folder}`), { recursive: true }).map(String);
    const paths = entries
      .filter((name) => /\.(?:jpg|png)$/.test(name))
      .map((name) => `${folder}/${name.replaceAll("\\", "/")}`);
    const whole = createHash("sha256");
    for (const path of paths.toSorted()) {
      const { width, height, data } = await decodeImage(readFileSync(sharedPath(`data/${path}`)), path);
      const own = createHash("sha256").update(`${width} ${height} `).update(data).digest("hex");
      whole.update(`${own}  ${path}\n`);
    }
    expect([paths.length, whole.digest("hex")]).toEqual([images, sha256]);
  });
}
