/** The number that an answer of GSM8K ends with, as lm-evaluation-harness finds and compares it. */

/** What stands for an answer without a number. */
const INVALID = "[invalid]";

/** The first number behind `####`. */
export function strictNumber(text: string): string {
  return /#### (-?[0-9.,]+)/.exec(text)?.[1] ?? INVALID;
}

/** The last number. */
export function lastNumber(text: string): string {
  return text.match(/-?[$0-9.,]{2,}|-?[0-9]+/g)?.at(-1) ?? INVALID;
}

/** Whether a number is that of the target, once commas, dollars, what leads to it and a full stop are taken off. */
export function isSameNumber(number: string, target: string): boolean {
  return plain(number) === plain(target);
}

function plain(text: string): string {
  return text
    .replace(/[,$]/g, "")
    .replace(/[^]*#### /, "")
    .replace(/\.(?=\n?$)/, "")
    .toLowerCase();
}

/** The part of a text before the first of the texts that end it. */
export function untilStop(text: string, stops: readonly string[]): string {
  return stops.reduce((left, stop) => left.split(stop, 1)[0] ?? "", text);
}
