/** The two ways out of a command, kept in memory. */
import { type Messages, openMessages, openResults, type Results } from "../src/terminal/output.ts";

const stream = (add: (text: string) => void, columns?: number) => ({
  write(text: string, done?: () => void) {
    add(text);
    done?.();
  },
  on() {},
  columns,
});

/** Results and messages whose texts go to these functions. */
export function recorded(
  out: (text: string) => void,
  err: (text: string) => void,
): { stdout: Results; stderr: Messages } {
  return { stdout: openResults(stream(out)), stderr: openMessages(stream(err, 80)) };
}
