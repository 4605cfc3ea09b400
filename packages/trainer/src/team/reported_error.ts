/** An error (its `cause`) already reported to the user, by this rank or by rank 0 for all: only its exit code is left to give. */
export class ReportedError extends Error {
  override readonly name = "ReportedError";

  constructor(cause: unknown) {
    super("reported before", { cause });
  }
}
