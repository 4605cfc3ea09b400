/** What to type if a message alone does not say it. Imports nothing, so that it is there when no file can be opened. */

const tooManyFiles = /\bE[MN]FILE\b|too many open files/i;

/** Returns an error's message, with what to type if too many files are open: Node and the system's loader only name the file. */
export function messageWithAdvice({ message }: Error): string {
  return tooManyFiles.test(message) ? `${message}\nRaise the limit on open files: ulimit -n 4096` : message;
}
