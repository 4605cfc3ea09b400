/** Where the Hub and its cache are, and who asks: the variables and files of Python's `huggingface_hub`. */
import { isAbsolute, join, resolve } from "node:path";
import { InputError } from "@zerogate/core/light";
import { homeFolder, isCode, readRegularFileSync, reason } from "@zerogate/core/node";

/** Variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

const HUB = "https://huggingface.co";
const MAX_TOKEN_BYTES = 10_000;

const isOn = (value: string | undefined): boolean => /^(?:1|on|yes|true)$/i.test(value ?? "");

/** Returns the folder of the cache that Python and Zerogate share; undefined if the user has no home folder. */
export function hubCacheFolder(env: Environment = process.env): string | undefined {
  const named = env["HF_HUB_CACHE"] || env["HUGGINGFACE_HUB_CACHE"];
  if (named) return folderOf(named, env);
  const home = hubHome(env);
  return home === undefined ? undefined : join(home, "hub");
}

/** `HF_HOME`, else `huggingface` in the user's cache folder. */
function hubHome(env: Environment): string | undefined {
  const named = env["HF_HOME"];
  if (named) return folderOf(named, env);
  const caches = env["XDG_CACHE_HOME"] ?? "";
  const home = homeFolder();
  if (isAbsolute(caches)) return join(caches, "huggingface");
  return home === undefined ? undefined : join(home, ".cache", "huggingface");
}

/** A folder with `~` and variables in its name, as Python reads it from these variables. */
function folderOf(text: string, env: Environment): string {
  const home = homeFolder() ?? "~";
  const expanded = text
    .replace(/^~(?=$|[\\/])/, () => home)
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (all, plain, braced) => {
      return env[String(plain ?? braced)] ?? all;
    });
  return resolve(expanded);
}

/** Whether nothing may be asked of the Hub. */
export function isOffline(env: Environment = process.env): boolean {
  return isOn(env["HF_HUB_OFFLINE"] || env["TRANSFORMERS_OFFLINE"]);
}

/** Whether snapshots hold files instead of links. */
export function linksDisabled(env: Environment): boolean {
  return isOn(env["HF_HUB_DISABLE_SYMLINKS"]);
}

/** Returns the Hub's address, or that of a mirror, without a slash at its end. @throws InputError if it is no address. */
export function hubEndpoint(env: Environment = process.env): string {
  const named = (env["HF_ENDPOINT"] || HUB).replace(/\/+$/, "");
  const problem = addressProblem(named);
  if (problem === undefined) return named;
  throw new InputError("Cannot use HF_ENDPOINT", `${problem}, needed is an address such as ${HUB}`);
}

function addressProblem(text: string): string | undefined {
  if (!URL.canParse(text)) return "it is no address";
  const { protocol, username, password, search, hash } = new URL(text);
  if (protocol !== "https:" && protocol !== "http:") return `it begins with ${protocol}`;
  if (username !== "" || password !== "") return "it holds a name or password, which belong into HF_TOKEN";
  return search === "" && hash === "" ? undefined : "it ends with a query";
}

/**
 * Returns `HF_TOKEN`, or the token that `hf auth login` left in a file; undefined without one.
 * @throws InputError if what is there cannot be a token; it is not shown.
 */
export function hubToken(env: Environment = process.env): string | undefined {
  const named = env["HF_TOKEN"] || env["HUGGING_FACE_HUB_TOKEN"];
  if (named) return checkedToken(named, "HF_TOKEN");
  if (isOn(env["HF_HUB_DISABLE_IMPLICIT_TOKEN"])) return undefined;
  const path = tokenPath(env);
  if (path === undefined) return undefined;
  const text = readToken(path);
  return text === undefined ? undefined : checkedToken(text, path);
}

function tokenPath(env: Environment): string | undefined {
  const named = env["HF_TOKEN_PATH"];
  if (named) return folderOf(named, env);
  const home = hubHome(env);
  return home === undefined ? undefined : join(home, "token");
}

function readToken(path: string): string | undefined {
  try {
    return readRegularFileSync(path, MAX_TOKEN_BYTES).toString("utf8");
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (isCode(cause, "ENOENT") || isCode(cause, "ENOTDIR")) return undefined;
    throw error instanceof InputError ? error : new InputError(`Cannot read ${path}`, reason(error), { cause: error });
  }
}

/** A line break or a letter that no header takes would make another request of it. */
function checkedToken(text: string, from: string): string | undefined {
  const token = text.replaceAll(/[\r\n]/g, "").trim();
  if (token === "") return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new InputError(`Cannot use the token in ${from}`, "it holds characters that no token has: copy it again");
}
