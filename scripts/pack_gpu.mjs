/**
 * Makes the folder to carry to a bare GPU machine (Linux x64, no Node, no network): Node itself, the built engine with its tests, the
 * benchmark, the packages that they need, the golden models. Needs a build, tar and xz here; there sh, tar and xz or python3.
 *
 *   node scripts/pack_gpu.mjs [FOLDER] [--limit 60] [--level 6] [--kernels 80,90,100]       default folder: .gpu-pack
 *
 * --kernels names the GPUs that kernels are compiled for here, if NVRTC is on this machine (minutes); 0: none, as are those that are
 * compiled already. The GPU machine compiles what it does not find.
 *
 * There:  sh FOLDER/run.sh node bench/gpu/run.mjs --out "$PWD/gpu-results"
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("../", import.meta.url));
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    limit: { type: "string", default: "60" },
    level: { type: "string", default: "6" },
    kernels: { type: "string", default: "80,86,89,90,100,120" },
  },
});
const out = resolve(positionals[0] ?? join(root, ".gpu-pack"));
const packages = ["core", "ffi", "engine-cuda"];
for (const name of packages) {
  if (!existsSync(join(root, `packages/${name}/dist/index.js`))) {
    throw new Error(`Cannot pack: packages/${name} is not built, run "pnpm run build" first`);
  }
}
if (options.kernels !== "0") prebuildKernels();
mkdirSync(out, { recursive: true });
const work = mkdtempSync(join(tmpdir(), "zerogate-pack-"));
try {
  packNode();
  packApp();
} finally {
  rmSync(work, { recursive: true });
}
const script = join(out, "run.sh");
cpSync(fileURLToPath(new URL("gpu_run.sh", import.meta.url)), script);
const archives = ["node.tar.xz", "app.tar.xz"].map((name) => join(out, name));
const hash = createHash("sha256");
for (const path of archives) hash.update(readFileSync(path));
writeFileSync(join(out, "stamp"), hash.digest("hex").slice(0, 16));
const bytes = readdirSync(out).reduce((sum, name) => sum + statSync(join(out, name)).size, 0);
const mib = bytes / 2 ** 20;
console.log(
  `${out}: ${mib.toFixed(1)} MiB (${archives.map((path) => (statSync(path).size / 2 ** 20).toFixed(1)).join(" Node, ")} the rest)`,
);
if (mib > Number(options.limit)) {
  console.error(`Cannot carry ${mib.toFixed(1)} MiB: the limit is ${options.limit}`);
  process.exitCode = 1;
}

/** The Node that runs this, without its symbols; kept from an earlier pack of the same version. */
function packNode() {
  const [archive, version] = [join(out, "node.tar.xz"), join(out, "node.version")];
  const wanted = `${process.version} ${options.level}`;
  if (existsSync(archive) && existsSync(version) && readFileSync(version, "utf8") === wanted) return;
  const folder = join(work, "node");
  mkdirSync(folder);
  cpSync(realpathSync(process.execPath), join(folder, "node"));
  spawnSync("strip", ["-s", join(folder, "node")]); // or it is larger
  pack(folder, archive);
  writeFileSync(version, wanted);
}

/** So that the first start there waits for no compiler. */
function prebuildKernels() {
  const prebuild = join(root, "packages/engine-cuda/scripts/prebuild.mjs");
  const { status, stderr } = spawnSync(process.execPath, [prebuild, options.kernels], {
    stdio: ["ignore", "inherit", "pipe"],
    encoding: "utf8",
  });
  if (status === 0) return;
  const reason = /Error: .*/.exec(stderr)?.[0] ?? stderr;
  console.error(`kernels are compiled on the GPU machine, here they could not be: ${reason}`);
}

/** The repository's files of these packages, their dist and compiled kernels, `node_modules` of what they need, and shared/golden beside. */
function packApp() {
  const app = join(work, "app");
  const folders = [...packages.map((name) => `packages/${name}`), "bench/gpu", "bench/vs_peft"];
  const files = [
    "package.json",
    "pnpm-workspace.yaml",
    "tsconfig.base.json",
    "vitest.config.ts",
    "tests/setup.ts",
    "tests/support/long_arrays.ts",
    ...folders,
  ];
  const tracked = execFileSync("git", ["ls-files", "-z", "-co", "--exclude-standard", ...files], {
    cwd: root,
    encoding: "utf8",
  });
  const built = [...packages.map((name) => `packages/${name}/dist`), "packages/engine-cuda/prebuilt"];
  const links = [
    "node_modules/vitest",
    "node_modules/@zerogate/core",
    ...packages.flatMap((name) => linksIn(`packages/${name}`)),
  ];
  for (const path of [...tracked.split("\0").filter(Boolean), ...built, ...links, ...closure(links)]) {
    if (!existsSync(join(root, path))) continue; // deleted, not yet committed
    mkdirSync(join(app, "app", dirname(path)), { recursive: true });
    const unneeded = /\.(d\.[cm]?ts|map)$|[\\/](readme|changelog)[^\\/]*\.md$/i;
    const filter = (from) => !(path.startsWith("node_modules") && unneeded.test(from));
    cpSync(join(root, path), join(app, "app", path), { recursive: true, verbatimSymlinks: true, filter });
  }
  const golden = join(root, "../shared/golden");
  if (existsSync(golden)) cpSync(golden, join(app, "shared/golden"), { recursive: true });
  else console.error(`shared/golden is not beside the repository: the golden tests will be skipped there`);
  const commit = spawnSync("git", ["describe", "--always", "--dirty"], { cwd: root, encoding: "utf8" }).stdout;
  writeFileSync(join(app, "app/COMMIT"), commit);
  spawnSync("chmod", ["-R", "u+w", app]); // shared data may be read-only
  pack(app, join(out, "app.tar.xz"));
}

/** The packages that a workspace package links to. */
function linksIn(folder) {
  return modulesOf(join(root, folder, "node_modules")).map((path) => relative(root, path));
}

/** Every package's own folder in `node_modules/.pnpm` that these links need, directly or not. */
function closure(links) {
  const store = join(root, "node_modules/.pnpm") + sep;
  const found = new Set();
  const todo = links.map((path) => join(root, path));
  for (let link = todo.pop(); link; link = todo.pop()) {
    if (!existsSync(link)) continue;
    const target = realpathSync(link);
    if (!target.startsWith(store)) continue; // a workspace package
    const own = join(store, target.slice(store.length).split(sep)[0]);
    if (found.has(own)) continue;
    found.add(own);
    todo.push(...modulesOf(join(own, "node_modules")));
  }
  return [...found].map((path) => relative(root, path));
}

/** Entries of a `node_modules`, those of scopes too. */
function modulesOf(folder) {
  const entries = existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith(".")) : [];
  return entries.flatMap((name) => {
    const path = join(folder, name);
    return name.startsWith("@") ? readdirSync(path).map((own) => join(path, own)) : [path];
  });
}

function pack(folder, archive) {
  const part = `${archive}.part`;
  const flags = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C", folder, "-cf", part];
  execFileSync("tar", [`--use-compress-program=xz -${options.level} -T0`, ...flags, "."]);
  renameSync(part, archive);
}
