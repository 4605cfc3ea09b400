/** Finding and importing TensorFlow.js, which the user installs or not. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { InputError } from "@zerogate/core";
import { needs, packagesOf, type TfjsBackend } from "./names.ts";
import type { Tf } from "./tf.ts";

/**
 * Where the packages of one backend lie, in the order of `packagesOf`. All of them come from one place: the folder that
 * ZEROGATE_TFJS names, else beside this package, else the working folder. Undefined if no place has all.
 */
export function findPackages(backend: TfjsBackend): readonly string[] | undefined {
  const folder = (path: string) => pathToFileURL(join(path, "/"));
  const named = process.env["ZEROGATE_TFJS"];
  const places = [...(named ? [folder(named)] : []), import.meta.url, folder(process.cwd())];
  for (const place of places) {
    const { resolve } = createRequire(place);
    try {
      return packagesOf[backend].map((name) => resolve(name));
    } catch {
      // one is not there: the next place
    }
  }
  return undefined;
}

/** Paths of a backend's packages. Throws an `InputError` that names what is missing and how to install it. */
export function requirePackages(backend: TfjsBackend): readonly string[] {
  const paths = findPackages(backend);
  if (paths) return paths;
  throw new InputError(`Cannot use the engine tfjs:${backend}`, needs(backend));
}

/** @throws InputError with what the import said if it fails. */
export async function importPackage(backend: TfjsBackend, path: string): Promise<unknown> {
  try {
    const imported = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
    return imported.default ?? imported; // TensorFlow.js is CommonJS
  } catch (cause) {
    const [reason] = (cause as Error).message.split("\n");
    throw new InputError(`Cannot use the engine tfjs:${backend}`, `${path} does not load: ${reason}`, { cause });
  }
}

/** TensorFlow.js, after everything that the backend needs was imported with it. */
export async function importTensorflow(backend: TfjsBackend): Promise<Tf> {
  const [tf] = await Promise.all(requirePackages(backend).map((path) => importPackage(backend, path)));
  return tf as Tf;
}
