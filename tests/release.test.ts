/** One version for all packages, and a changelog that begins with it. How to release: CONTRIBUTING.md. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const folders = await readdir(join(root, "packages"));
const manifests = await Promise.all(
  folders.map(async (name) => JSON.parse(await readFile(join(root, "packages", name, "package.json"), "utf8"))),
);

test("all packages have one version, which the changelog begins with", async () => {
  const versions = new Set(manifests.map(({ version }) => version));
  expect([...versions]).toHaveLength(1);
  const changelog = await readFile(join(root, "CHANGELOG.md"), "utf8");
  const [, newest] = /^## (\S+)/m.exec(changelog) ?? [];
  expect(newest).toBe(manifests[0].version);
});

test("packages depend on each other at the version that they are published with", () => {
  const ranges = manifests.flatMap(({ name, dependencies, devDependencies, peerDependencies }) =>
    Object.entries<string>({ ...dependencies, ...devDependencies, ...peerDependencies })
      .filter(([other]) => other.startsWith("@zerogate/"))
      .map(([other, range]) => ({ name, other, range })),
  );
  expect(ranges.length).toBeGreaterThan(0);
  expect(ranges.filter(({ range }) => range !== "workspace:*")).toEqual([]);
});

test.each(folders)("the package %s ships its license and says what it is", async (name) => {
  const manifest = manifests[folders.indexOf(name)];
  expect(manifest).toMatchObject({
    name: name === "zerogate" ? name : `@zerogate/${name}`,
    license: "Apache-2.0",
    type: "module",
    engines: { node: ">=20.19" },
  });
  expect(manifest.description.length).toBeGreaterThan(20);
  expect(await readdir(join(root, "packages", name))).toContain("LICENSE");
});
