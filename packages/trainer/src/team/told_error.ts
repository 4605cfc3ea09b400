/** An error (its `cause`) of which people have been told already, by this rank or by rank 0 for all: only its exit code is left to say. */
export class ToldError extends Error {
  override readonly name = "ToldError";

  constructor(cause: unknown) {
    super("told before", { cause });
  }
}
