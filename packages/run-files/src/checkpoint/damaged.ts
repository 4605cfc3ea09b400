/** The error of files that are no longer what was written, where nothing whole is left to go on with. Exit code 3. */
export class DamagedError extends Error {
  override readonly name = "DamagedError";
}

/** By its name, which an error that another rank threw keeps. */
export function isDamaged(error: unknown): boolean {
  return error instanceof Error && error.name === "DamagedError";
}
