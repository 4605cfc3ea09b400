import { expect, test } from "vitest";
import { decodeError, encodeError } from "./encoded_error.ts";
import { DamagedError, EngineLostError, InputError, isZerogateError } from "./errors.ts";

/** As over a message port. */
const across = (thrown: unknown) => decodeError(structuredClone(encodeError(thrown)));

test("an InputError stays one, with its problems, message, stack and causes", () => {
  const root = new RangeError("offset 9 of 8");
  const cause = new InputError("Cannot read a.safetensors", "its header is damaged", { cause: root });
  const error = new InputError("Cannot load the model", ["a is missing", "b is missing"], { cause });
  const back = across(error);
  expect(back).toBeInstanceOf(InputError);
  expect(back).toMatchObject({
    name: "InputError",
    message: error.message,
    stack: error.stack,
    problems: error.problems,
  });
  expect(back.cause).toBeInstanceOf(InputError);
  expect(back.cause).toMatchObject({ cause: { name: "RangeError", message: "offset 9 of 8", stack: root.stack } });
});

test("other errors keep name, message and stack", () => {
  const abort = new DOMException("This operation was aborted", "AbortError");
  for (const error of [new RangeError("too long"), new TypeError("no"), new Error("plain"), abort]) {
    const back = across(error);
    expect(back).toBeInstanceOf(Error);
    expect(back).not.toBeInstanceOf(InputError);
    expect([back.name, back.message, back.stack]).toEqual([error.name, error.message, error.stack]);
    expect(String(back)).toBe(String(error));
    expect("cause" in back).toBe(false);
  }
});

test.each([
  ["text", "text"],
  [7, "7"],
  [undefined, "undefined"],
  [null, "null"],
])("%j, thrown, becomes an error", (thrown, message) => {
  expect(across(thrown)).toMatchObject({ name: "Error", message });
});

test("a cause that is no error is kept as its text", () => {
  expect(across(new Error("outer", { cause: "disk full" })).cause).toMatchObject({ message: "disk full" });
});

test("an error that causes itself is encoded up to where it repeats", () => {
  const [a, b] = [new Error("a"), new Error("b")];
  a.cause = b;
  b.cause = a;
  expect(across(a)).toMatchObject({ message: "a", cause: { message: "b" } });
});

test("an error from elsewhere is recognised by its code, even if it has lost its class", () => {
  for (const [error, code] of [
    [new DamagedError("no whole checkpoint"), "damaged"],
    [new EngineLostError("the GPU is gone"), "engine-lost"],
    [new InputError("Cannot start", "no"), "input"],
  ] as const) {
    expect(isZerogateError(across(error), code)).toBe(true);
    expect(isZerogateError(across(error), code === "damaged" ? "input" : "damaged")).toBe(false);
  }
  expect(isZerogateError(across(Object.assign(new Error("gone"), { code: "ENOENT" })))).toBe(false);
});
