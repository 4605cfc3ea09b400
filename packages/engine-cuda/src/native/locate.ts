/** Where NVIDIA's libraries may lie: named by the user, a toolkit, what the loader finds, folders of pip's wheels. */
import { readdirSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { homeFolder } from "@zerogate/core/node";

export interface LibraryPlace {
  /** Environment variable with a path: then nothing else is tried. */
  readonly variable: string;
  /** File names, the best first. */
  readonly names: readonly string[];
}

/** Paths and names to try, in this order. */
export function candidates({ variable, names }: LibraryPlace, env: NodeJS.ProcessEnv = process.env): string[] {
  const named = env[variable];
  if (named) return [named];
  const toolkits = [env["CUDA_PATH"], env["CUDA_HOME"]].flatMap((folder) => folder || []);
  const inFolders = (folders: readonly string[]) =>
    folders.flatMap((folder) => names.map((name) => join(folder, name)));
  return [
    ...inFolders(toolkits.flatMap((folder) => [join(folder, "lib64"), join(folder, "lib")])),
    ...names,
    ...inFolders([...toolkitFolders(), ...wheelFolders(env)]),
  ];
}

function toolkitFolders(): string[] {
  return expand("/usr/local", [/^cuda/, "lib64"]);
}

/** `nvidia/<library>/lib` of the Python installations that somebody is likely to have; that of each `bin` in PATH is one. */
function wheelFolders(env: NodeJS.ProcessEnv): string[] {
  const inPath = (env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => basename(folder) === "bin" && folder !== "/bin");
  const named = [env["VIRTUAL_ENV"], env["CONDA_PREFIX"]].flatMap((folder) => folder || []);
  const environments = new Set([...named, ...inPath.map((folder) => dirname(folder))]);
  const home = homeFolder();
  const packages = [
    ...[...environments].flatMap((folder) => expand(join(folder, "lib"), [/^python3/, "site-packages"])),
    ...(home === undefined ? [] : expand(join(home, ".local/lib"), [/^python3/, "site-packages"])),
    ...expand("/usr/local/lib", [/^python3/, /^(dist|site)-packages$/]),
    "/usr/lib/python3/dist-packages",
  ];
  return packages.flatMap((folder) => expand(join(folder, "nvidia"), [/./, "lib"]));
}

/** Folders below `folder` whose path matches step by step; fixed names are not looked for. */
function expand(folder: string, [step, ...rest]: readonly (RegExp | string)[]): string[] {
  if (step === undefined) return [folder];
  if (typeof step === "string") return expand(join(folder, step), rest);
  return entries(folder)
    .filter((name) => step.test(name))
    .flatMap((name) => expand(join(folder, name), rest));
}

/** Names in a folder, sorted; none if there is no such folder. */
export function entries(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch {
    return [];
  }
}
