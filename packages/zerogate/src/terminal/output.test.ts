import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { openMessages, openResults } from "./output.ts";

/** A stream that keeps what it gets, and refuses everything from the `failsAt`th write on, as a pipe does. */
function sink(failsAt = Number.POSITIVE_INFINITY, isTTY = false): Writable & { text: string; isTTY: boolean } {
  let writes = 0;
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string, _, done) {
      if (++writes >= failsAt) done(Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" }));
      else {
        target.text += chunk;
        done();
      }
    },
  });
  const target = Object.assign(stream, { text: "", isTTY });
  return target;
}

const ticks = () => new Promise((resolve) => setTimeout(resolve, 5));

test("what a command writes after its reader has left is an error that says why, once [T-B4]", async () => {
  const results = openResults(sink(2));
  results.write("one");
  results.write("two");
  await ticks();
  expect(() => results.write("three")).toThrow("Cannot write the output: ENOSPC: no space left");
  expect(await results.flush()).toBe(undefined); // the error has said it
});

test("what nobody has noticed until the end is reported by the flush [T-B4]", async () => {
  const results = openResults(sink(1));
  results.write("all");
  expect(await results.flush()).toBe("ENOSPC: no space left");
  const fine = openResults(sink());
  fine.write("all");
  expect(await fine.flush()).toBe(undefined);
});

test("a run goes on without a reader and says so once, at once [T-B4]", async () => {
  const said: string[] = [];
  const results = openResults(sink(2));
  results.goOnWithout((reason) => said.push(reason));
  for (const text of ["one", "two", "three"]) results.write(text);
  await ticks();
  results.goOnWithout((reason) => said.push(`later: ${reason}`));
  results.write("four");
  expect(said).toEqual(["ENOSPC: no space left"]);
  expect(await results.flush()).toBe(undefined);
});

test("a stream that throws is one that fails, and messages never fail [T-B4]", async () => {
  const throwing = Object.assign(sink(), {
    write() {
      throw new Error("EIO: i/o error, write");
    },
  });
  expect(() => openResults(throwing).write("x")).toThrow("Cannot write the output: EIO: i/o error, write");
  const messages = openMessages(throwing);
  messages.write("x");
  messages.paint("x");
  const failing = openMessages(sink(1));
  failing.write("x");
  await ticks();
  failing.write("x");
});

test("only exact text reaches a file as it is, nothing does a terminal [T-B6]", () => {
  for (const isTTY of [false, true]) {
    const stream = sink(undefined, isTTY);
    const results = openResults(stream);
    results.write("\u001b[2Ja");
    results.exact("\u001b[2Jb");
    expect(stream.text).toBe(isTTY ? "\\u001b[2Ja\\u001b[2Jb" : "\\u001b[2Ja\u001b[2Jb");
    const messages = openMessages(stream);
    messages.write("\u009b2J");
    messages.paint("\u001b[?25l");
    expect(stream.text.endsWith("\\u009b2J\u001b[?25l")).toBe(true);
  }
});
