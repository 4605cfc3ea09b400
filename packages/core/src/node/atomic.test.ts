import { createHash } from "node:crypto";
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { publishDirectory, verifyDirectory, writeFileAtomic } from "./atomic.ts";
import { hashFile } from "./hash.ts";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "zerogate-atomic-"));
});
afterAll(() => rm(scratch, { recursive: true }));

/** A published folder of two files, one of them nested. */
async function published(name: string): Promise<string> {
  const folder = join(scratch, name);
  await publishDirectory(folder, async (at) => {
    await writeFile(join(at, "a.bin"), Uint8Array.of(1, 2, 3));
    await mkdir(join(at, "sub"));
    await writeFile(join(at, "sub", "b.txt"), "hello");
  });
  return folder;
}

test("hashFile is SHA-256 in hexadecimal", async () => {
  await writeFile(join(scratch, "abc"), "abc"); // the test vector of FIPS 180-2, appendix B.1
  expect(await hashFile(join(scratch, "abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

test("a file that is larger than the buffer is hashed whole, an empty one too", async () => {
  const bytes = new Uint8Array(3_000_001).map((_, i) => i % 251);
  for (const content of [bytes, new Uint8Array()]) {
    await writeFile(join(scratch, "sized"), content);
    expect(await hashFile(join(scratch, "sized"))).toBe(createHash("sha256").update(content).digest("hex"));
  }
});

test("hashing small files leaves small garbage: a run does it at every checkpoint", async () => {
  await writeFile(join(scratch, "small"), "abc");
  const left: number[] = [];
  for (let i = 0; i < 3; i++) {
    const before = process.memoryUsage().arrayBuffers;
    await hashFile(join(scratch, "small"));
    left.push(process.memoryUsage().arrayBuffers - before); // less than nothing if garbage is collected meanwhile
  }
  expect(Math.max(...left)).toBeLessThan(1 << 20);
});

describe("writeFileAtomic", () => {
  test("replaces a file and leaves no temporary one", async () => {
    const folder = join(scratch, "replace");
    await mkdir(folder);
    await writeFileAtomic(join(folder, "x"), "old and longer");
    await writeFileAtomic(join(folder, "x"), Uint8Array.of(110, 101, 119));
    expect(await readFile(join(folder, "x"), "utf8")).toBe("new");
    expect(await readdir(folder)).toEqual(["x"]);
  });

  test("on failure says so, keeps what was there and leaves no temporary file", async () => {
    const folder = join(scratch, "fails");
    await mkdir(join(folder, "x", "full"), { recursive: true }); // a folder that is not empty cannot be replaced
    await expect(writeFileAtomic(join(folder, "x"), "new")).rejects.toThrow(
      `Cannot write ${join(folder, "x")} (3 bytes)`,
    );
    expect(await readdir(folder)).toEqual(["x"]);
    await expect(writeFileAtomic(join(scratch, "nowhere", "x"), "new")).rejects.toThrow(
      "there is no such file or folder",
    );
  });
});

test("a folder that cannot be looked at is not taken for one that does not exist", async () => {
  await writeFile(join(scratch, "a-file"), "x");
  await expect(verifyDirectory(join(scratch, "a-file", "step-1"))).rejects.toThrow("ENOTDIR");
  expect(await verifyDirectory(join(scratch, "no-such"))).toEqual([`${join(scratch, "no-such")} does not exist`]);
});

describe("publishDirectory", () => {
  test("publishes all files with a manifest that verifies", async () => {
    const folder = await published("good");
    expect((await readdir(folder)).toSorted()).toEqual(["a.bin", "manifest.json", "sub"]);
    expect(JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"))).toEqual({
      version: 1,
      files: [
        { path: "a.bin", size: 3, sha256: await hashFile(join(folder, "a.bin")) },
        { path: "sub/b.txt", size: 5, sha256: await hashFile(join(folder, "sub", "b.txt")) },
      ],
    });
    expect(await verifyDirectory(folder)).toEqual([]);
  });

  test("refuses a folder that exists, even an empty one, before writing anything", async () => {
    const folder = join(scratch, "taken");
    await mkdir(folder);
    let called = false;
    const publish = publishDirectory(folder, async () => {
      called = true;
    });
    await expect(publish).rejects.toThrow(InputError);
    expect(called).toBe(false);
  });

  test("a folder that somebody else publishes meanwhile stays as it is, which is an error", async () => {
    const parent = join(scratch, "raced");
    await mkdir(parent);
    const folder = join(parent, "step-1");
    const publish = publishDirectory(folder, async (at) => {
      await writeFile(join(at, "mine"), "x");
      await mkdir(folder);
      await writeFile(join(folder, "theirs"), "y");
    });
    await expect(publish).rejects.toThrow(/ENOTEMPTY|EEXIST/);
    expect(await readdir(parent)).toEqual(["step-1"]);
    expect(await readdir(folder)).toEqual(["theirs"]);
  });

  test("a failure while writing reaches the caller and leaves nothing behind", async () => {
    const parent = join(scratch, "failing");
    await mkdir(parent);
    const publish = publishDirectory(join(parent, "step-1"), async (at) => {
      await writeFile(join(at, "half"), "x");
      throw new Error("disk full");
    });
    await expect(publish).rejects.toThrow("disk full");
    expect(await readdir(parent)).toEqual([]);
  });

  test("until the end the final name does not exist", async () => {
    const parent = join(scratch, "late");
    await mkdir(parent);
    await publishDirectory(join(parent, "step-1"), async (at) => {
      await writeFile(join(at, "a"), "x");
      expect((await readdir(parent)).every((name) => name.startsWith(".step-1.") && name.endsWith(".tmp"))).toBe(true);
    });
    expect(await readdir(parent)).toEqual(["step-1"]);
  });

  test("links and a manifest of the caller's own are refused", async () => {
    const link = publishDirectory(join(scratch, "link"), (at) => symlink("/etc/hostname", join(at, "x")));
    await expect(link).rejects.toThrow(RangeError);
    const own = publishDirectory(join(scratch, "own"), (at) => writeFile(join(at, "manifest.json"), "{}"));
    await expect(own).rejects.toThrow(RangeError);
  });
});

describe("verifyDirectory finds", () => {
  const damages: Record<string, [damage: (folder: string) => Promise<void>, problems: string[]]> = {
    "a flipped bit": [
      (at) => writeFile(join(at, "a.bin"), Uint8Array.of(1, 2, 2)),
      ["a.bin has another SHA-256 than published"],
    ],
    "a file cut short": [
      (at) => truncate(join(at, "sub", "b.txt"), 2),
      ["sub/b.txt has 2 bytes, manifest.json says 5"],
    ],
    "a file made longer": [(at) => appendFile(join(at, "a.bin"), "x"), ["a.bin has 4 bytes, manifest.json says 3"]],
    "a missing file": [(at) => rm(join(at, "a.bin")), ["a.bin is missing"]],
    "a file too many": [(at) => writeFile(join(at, "new"), ""), ["new is not in manifest.json"]],
    "a link in place of a file": [
      async (at) => {
        await rm(join(at, "a.bin"));
        await symlink("sub/b.txt", join(at, "a.bin"));
      },
      ["a.bin is not a regular file", "a.bin is missing"],
    ],
    "no manifest": [(at) => rm(join(at, "manifest.json")), ["manifest.json is missing or damaged"]],
    "half a manifest": [(at) => truncate(join(at, "manifest.json"), 40), ["manifest.json is missing or damaged"]],
    "a manifest of other spaces": [
      async (at) => {
        const path = join(at, "manifest.json");
        await writeFile(path, (await readFile(path, "utf8")).trimEnd());
      },
      ["manifest.json is missing or damaged"],
    ],
    "a manifest of another shape": [
      (at) => writeFile(join(at, "manifest.json"), '{"version":1,"files":[{"path":1}]}'),
      ["manifest.json is missing or damaged"],
    ],
    "a manifest with a file twice, the second time as it is": [
      async (at) => {
        const text = await readFile(join(at, "manifest.json"), "utf8");
        const { version, files } = JSON.parse(text) as { version: number; files: object[] };
        const twice = [{ ...files[0], sha256: "0" }, ...files];
        await writeFile(join(at, "manifest.json"), JSON.stringify({ version, files: twice }));
      },
      ["manifest.json is missing or damaged"],
    ],
    "a manifest that names files outside": [
      (at) => {
        const manifest = { version: 1, files: [{ path: "../abc", size: 3, sha256: "" }] };
        return writeFile(join(at, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
      },
      ["a.bin is not in manifest.json", "sub/b.txt is not in manifest.json", "../abc is missing"],
    ],
  };
  test.each(Object.entries(damages))("%s", async (name, [damage, problems]) => {
    const folder = await published(`verify ${name}`);
    await damage(folder);
    expect(await verifyDirectory(folder)).toEqual(problems);
  });

  test("any change of any byte of any file, the manifest's own included", async () => {
    const content = fc.uint8Array({ minLength: 1, maxLength: 40 });
    const files = fc.dictionary(fc.stringMatching(/^([a-z]{1,3}|[a-z]\d\/[a-z]{4})$/), content, {
      minKeys: 1,
      maxKeys: 4,
    });
    const change = fc.record({ contents: files, which: fc.nat(), at: fc.nat(), by: fc.integer({ min: 1, max: 255 }) });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(change, async ({ contents, which, at, by }) => {
        const folder = join(scratch, `any-${run++}`);
        await publishDirectory(folder, async (inside) => {
          for (const [name, bytes] of Object.entries(contents)) {
            await mkdir(join(inside, dirname(name)), { recursive: true });
            await writeFile(join(inside, name), bytes);
          }
        });
        expect(await verifyDirectory(folder)).toEqual([]);
        const names = [...Object.keys(contents), "manifest.json"];
        const name = names[which % names.length] ?? "";
        const bytes = await readFile(join(folder, name));
        bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ by;
        await writeFile(join(folder, name), bytes);
        expect(await verifyDirectory(folder)).not.toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  test("a folder that is not there, or is a file", async () => {
    await writeFile(join(scratch, "file"), "x");
    expect(await verifyDirectory(join(scratch, "file"))).toEqual([`${join(scratch, "file")} is not a folder`]);
    expect(await verifyDirectory(join(scratch, "nowhere"))).toEqual([`${join(scratch, "nowhere")} does not exist`]);
  });
});
