/** The clock of this machine, which all of its threads and processes share. */

/** Milliseconds since some moment before this process. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
