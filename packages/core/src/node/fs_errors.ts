/** What `node:fs` throws, as text and by code. */

/** Does this error of `node:fs` have that code, for example `ENOENT`? */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

export function reason(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
