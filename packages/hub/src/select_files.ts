/** Which files of a repository are needed: those that Zerogate reads, and what is asked for by pattern. */
import { InputError } from "@zerogate/core/light";
import type { RepoFile, RepoListing } from "./list_repo.ts";
import { pathProblem, sameOnSomeSystems } from "./path_names.ts";

/** Patterns as Python's `huggingface_hub` has them: `*` is any text, `/` too, `?` one character. */
export interface FilePatterns {
  /** Further files. @default none */
  readonly include?: readonly string[];
  /** Files that stay away, whatever else asks for them. @default none */
  readonly exclude?: readonly string[];
}

/** What is taken, and what is left where it is. */
export interface SelectedFiles {
  readonly files: readonly RepoFile[];
  readonly leftOut: readonly RepoFile[];
}

/** Weights, settings, tokenizers and templates. */
const readHere = /\.(?:safetensors|json|jinja|model|tiktoken)$|^tokenizer|^(?:merges|vocab)\.txt$/i;
/** Can run code when it is opened, or is a program. */
const runsCode = /\.(?:bin|pt|pth|ckpt|pkl|pickle|py|h5|so|dll|dylib|exe|sh|bat|joblib|npy|npz)$/i;

const single = "model.safetensors";
const shard = /^model-\d+-of-\d+\.safetensors$/;
const otherCopy = /^(?:consolidated.*|model\..+)\.safetensors$|^model\.safetensors\.index\..+\.json$/;

/**
 * Chooses files. Of a model those directly in the repository, or in the folder that the name has; of a dataset all. What can run
 * code is taken only if a pattern of `include` asks for it.
 *
 * @throws InputError if nothing is left, no weights are, or a name is impossible on some system.
 */
export function selectFiles(
  listing: Pick<RepoListing, "name" | "files">,
  patterns: FilePatterns,
  attempt: string,
): SelectedFiles {
  const { name, files } = listing;
  const needed = neededFiles(listing, patterns, attempt);
  const taken = new Set(needed);
  const selected = { files: needed, leftOut: files.filter((file) => !taken.has(file)) };
  const isExcluded = matcher(patterns.exclude ?? []);
  const isOwnChoice = files.some(({ path }) => isExcluded(path) && path.endsWith(".safetensors"));
  if (!isOwnChoice || taken.size === 0) checkSomething(selected, name.path, attempt);
  return selected;
}

/** Chooses as `selectFiles` does, also if that is nothing, or without weights. @throws InputError for impossible names. */
export function neededFiles(
  { name, files }: Pick<RepoListing, "name" | "files">,
  { include = [], exclude = [] }: FilePatterns,
  attempt: string,
): RepoFile[] {
  const [isIncluded, isExcluded] = [matcher(include), matcher(exclude)];
  const isNeeded = name.kind === "dataset" ? neededOfData(name.path) : neededOfModel(files, name.path);
  const needed = files.filter(({ path }) => (isNeeded(path) || isIncluded(path)) && !isExcluded(path));
  checkNames(needed, attempt);
  return needed;
}

const neededOfData = (within: string | undefined) => (path: string) => {
  const isWithin = within === undefined || path === within || path.startsWith(`${within}/`);
  return isWithin && !runsCode.test(path) && !/^\.git(?:attributes|ignore)$/.test(path);
};

function neededOfModel(files: readonly RepoFile[], within: string | undefined): (path: string) => boolean {
  if (within !== undefined && files.some(({ path }) => path === within)) {
    const parts = partsOf(within);
    return (path) => path === within || (parts?.test(path) ?? false);
  }
  const prefix = within === undefined ? "" : `${within}/`;
  const names = new Set(files.flatMap(({ path }) => (path.startsWith(prefix) ? [path.slice(prefix.length)] : [])));
  const hasShards = [...names].some((name) => shard.test(name));
  return (path) => {
    if (!path.startsWith(prefix)) return false;
    const own = path.slice(prefix.length);
    if (own.includes("/") || !readHere.test(own) || runsCode.test(own)) return false;
    if (shard.test(own)) return !names.has(single); // the same weights once more
    return own === single || !otherCopy.test(own) || !(names.has(single) || hasShards);
  };
}

/** The parts of a model that is in several GGUF files, by the name of one of them. */
function partsOf(path: string): RegExp | undefined {
  const [, stem, total] = /^(.*)-\d{5}-of-(\d{5})\.gguf$/i.exec(path) ?? [];
  return stem === undefined ? undefined : new RegExp(`^${literal(stem)}-\\d{5}-of-${total}\\.gguf$`, "i");
}

const literal = (text: string): string => text.replace(/[.+^${}()|[\]\\*?]/g, "\\$&");

function matcher(patterns: readonly string[]): (path: string) => boolean {
  const all = patterns.map((pattern) => {
    const escaped = pattern.replace(/\/$/, "/*").replace(/[.+^${}()|[\]\\]/g, "\\$&");
    return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s");
  });
  return (path) => all.some((pattern) => pattern.test(path));
}

function checkNames(files: readonly RepoFile[], attempt: string): void {
  const way = "leave it out with --exclude";
  const problems = files.flatMap(({ path }) => {
    const problem = pathProblem(path);
    return problem === undefined ? [] : [`the name ${JSON.stringify(path).slice(0, 200)} ${problem}: ${way}`];
  });
  const same = sameOnSomeSystems(files.map(({ path }) => path));
  if (same) problems.push(`${same.join(" and ")} are one file on some systems: leave one out with --exclude`);
  if (problems.length > 0) throw new InputError(attempt, problems.slice(0, 20));
}

const MAX_NAMED = 6;

function checkSomething({ files, leftOut }: SelectedFiles, within: string | undefined, attempt: string): void {
  const isWeights = (path: string) => /\.(?:bin|pth|pt|gguf)$/i.test(path);
  const hasWeights = files.some(({ path }) => /\.safetensors$/i.test(path) || isWeights(path));
  const others = leftOut.filter(({ path }) => isWeights(path)).map(({ path }) => path);
  if (files.length > 0 && (hasWeights || others.length === 0)) return;
  const named = (others.length > 0 ? others : leftOut.map(({ path }) => path)).toSorted();
  const list = `${named.slice(0, MAX_NAMED).join(", ")}${named.length > MAX_NAMED ? ", …" : ""}`;
  const where = within === undefined ? "it" : `its ${within}`;
  if (others.some((path) => path.endsWith(".gguf"))) {
    throw new InputError(
      attempt,
      `${where} has weights in GGUF only (${list}): name one of them, as OWNER/NAME/FILE.gguf`,
    );
  }
  if (others.length > 0) {
    const way = `--include "${others[0]}" fetches it`;
    throw new InputError(
      attempt,
      `${where} has weights as pickles only, which can run code elsewhere (${list}): ${way}`,
    );
  }
  const has = leftOut.length === 0 ? "it holds nothing" : `${where} has nothing that is needed (it holds ${list})`;
  throw new InputError(attempt, `${has}: --include "*" fetches all`);
}
