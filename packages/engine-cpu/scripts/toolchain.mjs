/** Compiles the binary: one translation unit per instruction set with flags of its own, everything else for any machine. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

export const packageFolder = fileURLToPath(new URL("..", import.meta.url));
const native = join(packageFolder, "native");

const avx512 = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"];
/** Instruction sets of an architecture and their flags; native/host/cpu.cc chooses among the same. */
export const levels = {
  x64: { portable: [], avx2: ["-mavx2", "-mfma", "-mf16c"], avx512, avx512bf16: [...avx512, "-mavx512bf16"] },
  arm64: { portable: [], neon: [] },
};

/** Contraction is off because kernels say where they multiply and add at once: bits must not depend on inlining. */
const common = `-std=c++17 -fPIC -fno-exceptions -fno-rtti -ffp-contract=off -fno-math-errno -fvisibility=hidden`.split(
  " ",
);
/**
 * A faulty index ends the process instead of overwriting a return address, copies are checked against the size of their target, and
 * the tables of a loaded binary are read-only. Distributions set this by themselves, bare compilers do not. (`-U` first: some have
 * a level of their own.) Kernels go without guards of the stack, which cost products of few rows a tenth.
 */
const guarded = ["-fstack-protector-strong"];
const checkedCopies = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"];
const hardenedLink = process.platform === "linux" ? ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"] : [];
const warnings = ["-Wall", "-Wextra", "-Wno-maybe-uninitialized", "-Wno-unknown-pragmas", "-Wno-psabi"];

async function files(folder) {
  const entries = await readdir(join(native, folder), { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  return names.toSorted().map((name) => join(native, folder, name));
}

/** SHA-256 of all sources in these folders of native/, and of the settings that they are compiled with. */
export async function sourceHash(folders, settings) {
  const hash = createHash("sha256").update(settings);
  for (const folder of folders) {
    for (const file of await files(folder)) hash.update(file.slice(native.length)).update(await readFile(file));
  }
  return hash.digest("hex");
}

/** The first C++ compiler that answers: $CXX, then the usual names. */
export async function findCompiler() {
  for (const name of [process.env.CXX, "c++", "g++", "clang++"]) {
    if (!name) continue;
    try {
      await run(name, ["--version"]);
      return name;
    } catch {}
  }
  return undefined;
}

/** Translation units of a build: source and flags. */
async function units(architecture, folders) {
  const sets = levels[architecture] ?? { portable: [] };
  const plain = (await Promise.all(folders.map(files))).flat().filter((file) => file.endsWith(".cc"));
  return [
    ...Object.entries(sets).map(([name, flags]) => ({
      source: join(native, "isa", `${name}.cc`),
      flags: ["-O3", "-fno-stack-protector", ...flags],
    })),
    ...plain.map((source) => ({ source, flags: ["-O2", ...guarded] })),
  ];
}

/**
 * Compiles and links. `kind` is `addon` (needs node-api-headers) or `test` (an executable, kernels and their test).
 * Nothing is done if `out` was made from the same sources, compiler and flags. Returns whether it compiled.
 */
export async function compile({ compiler, out, architecture = process.arch, kind = "addon", extra = [] }) {
  const folders = kind === "addon" ? ["host", "node"] : ["host", "test"];
  const headers = kind === "addon" ? ["-I", headerFolder()] : [];
  const flags = [...common, ...checkedCopies, ...warnings, "-I", join(native, "include"), ...headers];
  const all = await units(architecture, folders);
  const { stdout: version } = await run(compiler, ["--version"]);
  const settings = JSON.stringify([version, flags, hardenedLink, extra, all.map((unit) => unit.flags)]);
  const digest = await sourceHash(["include", "kernels", "isa", ...folders], settings);
  const stamp = `${out}.sha256`;
  if (existsSync(out) && existsSync(stamp) && (await readFile(stamp, "utf8")) === digest) return false;

  const objects = join(dirname(out), `objects-${basename(out)}-${process.pid}`);
  await mkdir(objects, { recursive: true });
  try {
    const waiting = all.map((unit, i) => ({ ...unit, object: join(objects, `${i}.o`) }));
    const todo = [...waiting];
    const worker = async () => {
      for (let unit = todo.shift(); unit; unit = todo.shift()) {
        await run(compiler, [...flags, ...unit.flags, ...extra, "-c", unit.source, "-o", unit.object]);
      }
    };
    await Promise.all(Array.from({ length: Math.min(availableParallelism(), todo.length) }, worker));
    const linked = join(objects, "linked");
    const shared = process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared"];
    const link = [...(kind === "addon" ? shared : []), "-pthread", ...hardenedLink, ...extra];
    await run(compiler, [...waiting.map((unit) => unit.object), ...link, "-o", linked]);
    await rename(linked, out); // a process that has the old one open keeps it
    await writeFile(stamp, digest);
  } finally {
    await rm(objects, { recursive: true, force: true });
  }
  return true;
}

function headerFolder() {
  return createRequire(import.meta.url)("node-api-headers").include_dir;
}
