/** Commands to paste that make data of another form, with tools that those who have such files have. */
import { parse } from "node:path";
import { shellQuoted } from "@zerogate/core/light";

/**
 * A file in another form in one line: what it is, what is needed, and the command that makes it.
 * @param made what the command makes if that is not all of it.
 */
export function otherForm(what: string, command?: string, made = "make one"): string {
  const needed = `${what}, a list of objects with instruction, output and optionally input is needed`;
  return command === undefined ? needed : `${needed}; ${made} with: ${command}`;
}

/** Runs a jq program on the file; the result is one object a line. */
export function jq(path: string, program: string): string {
  return `jq -c ${shellQuoted(program)} ${shellQuoted(path)} > ${shellQuoted(beside(path, ".jsonl"))}`;
}

/** Runs a Python program that writes `sys.argv[2]` from `sys.argv[1]`; it must not hold double quotes or dollar signs. */
export function python(path: string, modules: string, program: string): string {
  const files = `${shellQuoted(path)} ${shellQuoted(beside(path, ".jsonl"))}`;
  return `python3 -c "import ${modules}, sys; ${program}" ${files}`;
}

/** Makes UTF-8 of text in another encoding. */
export function iconv(path: string, encoding: string): string {
  const { ext } = parse(path);
  return `iconv -f ${encoding} -t UTF-8 ${shellQuoted(path)} > ${shellQuoted(beside(path, ext))}`;
}

/** A name beside the file that is not its own. */
function beside(path: string, extension: string): string {
  const { dir, name } = parse(path);
  return `${dir === "" ? "" : `${dir}/`}${name}.fixed${extension}`;
}

/** A field as jq names it. */
export const jqPath = (key: string): string => (/^[A-Za-z_]\w*$/.test(key) ? `.${key}` : `.[${JSON.stringify(key)}]`);
