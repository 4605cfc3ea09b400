import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { imagePath } from "@zerogate/core/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { picture } from "../test/pictures.ts";
import { readImage } from "./read_image.ts";

let scratch: string;
let root: string;
beforeAll(async () => {
  scratch = await realpath(await mkdtemp(join(tmpdir(), "zerogate-images-")));
  root = join(scratch, "images");
  await mkdir(join(root, "more"), { recursive: true });
  const file = await picture(4, 3).png().toBuffer();
  for (const path of ["images/a.png", "images/more/..b.png", "secret.png", "images-beside.png"]) {
    await writeFile(join(scratch, path), file);
  }
  await symlink("a.png", join(root, "inside.png"));
  await symlink("../secret.png", join(root, "out.png"));
  await symlink("..", join(root, "up"));
  await symlink("nothing.png", join(root, "dead.png"));
  await symlink(root, join(scratch, "link-to-root"));
});
afterAll(() => rm(scratch, { recursive: true }));

async function problemOf(path: string, from = root): Promise<string> {
  const error = await imagePath(from, path).then(
    (found) => `accepted: ${found}`,
    (thrown: unknown) => thrown,
  );
  return error instanceof InputError ? error.problems.join().replaceAll(scratch, "DIR") : String(error);
}

test("paths below the root are found, links inside of it followed, the root itself may be a link", async () => {
  expect(await imagePath(root, "a.png")).toBe(join(root, "a.png"));
  expect(await imagePath(root, "./more/../a.png")).toBe(join(root, "a.png"));
  expect(await imagePath(root, "more/..b.png")).toBe(join(root, "more/..b.png"));
  expect(await imagePath(root, "inside.png")).toBe(join(root, "a.png"));
  expect(await imagePath(join(scratch, "link-to-root"), "a.png")).toBe(join(root, "a.png"));
  expect((await readImage("a.png", { root })).width).toBe(4);
  expect((await readImage(join(root, "out.png"))).width).toBe(4); // typed by somebody, not found in data
});

test("nothing outside of the root is read [V14]", async () => {
  for (const path of ["../secret.png", "more/../../secret.png", "..", ".", "../images-beside.png", "../images"]) {
    expect(await problemOf(path), path).toBe("it leads out of the folder of images, needed is a path below DIR/images");
  }
  for (const path of [
    join(scratch, "secret.png"),
    "/etc/passwd",
    "C:\\x.png",
    "c:x.png",
    "\\\\host\\x.png",
    "\\x.png",
  ]) {
    expect(await problemOf(path), path).toBe("it is absolute, needed is a path below DIR/images");
  }
  for (const path of ["https://example.org/a.png", "file:///etc/passwd", "data:image/png;base64,AAAA"]) {
    expect(await problemOf(path), path).toBe("it is a URL, needed is a path below DIR/images: fetch the image first");
  }
  for (const path of ["", "a\0.png"]) expect(await problemOf(path)).toContain("this is no path");
  expect(await problemOf("out.png")).toBe(
    "a link leads to DIR/secret.png, needed is a path below DIR/images: copy the file there",
  );
  expect(await problemOf("up/secret.png")).toContain("a link leads to DIR/secret.png");
  expect(await problemOf("dead.png")).toContain("there is no such file or folder");
  expect(await problemOf("missing.png")).toContain("there is no such file or folder");
  expect(await problemOf("a.png", join(scratch, "nowhere"))).toContain("DIR/nowhere: there is no such file or folder");
});

test.skipIf(process.platform === "win32")(
  "pipes, devices and folders are named, and nothing waits for one [V14]",
  async () => {
    execFileSync("mkfifo", [join(root, "pipe.png")]);
    await expect(readImage("pipe.png", { root })).rejects.toThrow(/it is a .*pipe.*, needed is a regular file/);
    await expect(readImage("more", { root })).rejects.toThrow("needed is a regular file");
    await expect(readImage("/dev/zero")).rejects.toThrow("needed is a regular file");
  },
);
