/** Words as a shell reads them, for commands that a message offers to paste. */

/** Writes a path or text as a shell takes it, and so that it is no flag. */
export function shellQuoted(text: string): string {
  const plain = text.startsWith("-") ? `./${text}` : text;
  if (/^[\w@%+=:,./-]+$/.test(plain)) return plain;
  if (!/\p{Cc}/u.test(plain)) return `'${plain.replaceAll("'", String.raw`'\''`)}'`;
  return `$'${JSON.stringify(plain).slice(1, -1).replaceAll("'", String.raw`\'`)}'`;
}
