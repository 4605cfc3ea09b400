import { expect, test } from "vitest";
import { isTorchTensor } from "./pickle_values.ts";
import { parseTorchPickle } from "./torch_pickle.ts";
import { serializeTorchPickle } from "./torch_pickle_writer.ts";

test.each([1, 255, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 33 + 3, 2 ** 40 + 2 ** 32 - 1])(
  "a tensor of %d numbers states its size, by the opcode that the size needs",
  (length) => {
    const tensor = { dtype: "F32", shape: [length], bytes: new Uint8Array() } as const;
    const bytes = serializeTorchPickle(new Map([["w", tensor]]), new Map([["w", "0"]]));
    const value = parseTorchPickle(bytes, "x.pt");
    const read = value instanceof Map ? (value as Map<unknown, unknown>).get("w") : undefined;
    expect(isTorchTensor(read as never)).toBe(true);
    expect(read).toMatchObject({ shape: [length] });
  },
);
