/** What texts of records hold that nobody may have meant, and which scripts they are written in. */

/** Of C0 and C1, all but tab and line ends. */
const CONTROL = /(?![\t\n\r])\p{Cc}/u;
/** The replacement character, and UTF-8 that was read as Windows-1252 or Latin-1: Ã©, â€™, Â°. */
const BROKEN_ENCODING = /\uFFFD|Ã[\u0080-\u00BF€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€[™œž“”˜¦¢\u009D]|Â[\u00A0-\u00BF]/;
/** Special tokens of published tokenizers: a text that spells one was rendered before, or copied from a log. */
const SPECIAL =
  /<\|[a-z_0-9]{2,40}\|>|<\/?s>|\[\/?INST\]|<<\/?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|<｜[^｜]{1,40}｜>/;

/** Returns the first control character of a text, as it is written in JSON. */
export function controlCharacter(text: string): string | undefined {
  const found = CONTROL.exec(text)?.[0];
  return found === undefined ? undefined : `U+${found.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Returns the first characters that a wrong encoding left. */
export function brokenEncoding(text: string): string | undefined {
  return BROKEN_ENCODING.exec(text)?.[0];
}

/** Finds special tokens that texts spell: those of a tokenizer, and well-known ones. */
export function specialTokenFinder(ofTokenizer: readonly string[]): (text: string) => string | undefined {
  const own = ofTokenizer.filter((token) => token.length > 1);
  return (text) => own.find((token) => text.includes(token)) ?? SPECIAL.exec(text)?.[0];
}

const scripts = [
  ...(["Latin", "Han", "Cyrillic", "Arabic", "Devanagari", "Hangul", "Katakana"] as const),
  ...(["Greek", "Hebrew", "Thai", "Bengali", "Tamil", "Telugu", "Georgian", "Armenian", "Ethiopic", "Khmer"] as const),
] as const;
const letters = scripts.map((name) => [name, new RegExp(`\\p{Script=${name}}`, "gu")] as const);
/** Characters of a text that are looked at. */
const LOOKED_AT = 2000;
const NOT_ASCII = /[^ -~\s]/;

/**
 * Returns the script that most letters of a text are of, "none" without letters, "other" for letters of a script that is not named here.
 * Japanese is written in several: Hiragana make a text Japanese, however many letters are Han.
 */
export function scriptOf(text: string): string {
  const start = text.slice(0, LOOKED_AT);
  if (!NOT_ASCII.test(start)) return /[a-z]/i.test(start) ? "Latin" : "none";
  if (/\p{Script=Hiragana}/u.test(start)) return "Japanese";
  let [most, name] = [0, "none"];
  for (const [script, letter] of letters) {
    const count = start.match(letter)?.length ?? 0;
    if (count > most) [most, name] = [count, script];
  }
  return most === 0 && /\p{L}/u.test(start) ? "other" : name;
}
