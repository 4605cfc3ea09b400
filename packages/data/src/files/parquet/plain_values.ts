/** Values of parquet as JSON has them: dates, decimals and whole numbers of 64 bits as text, bytes as text if they are UTF-8. */
import { isUtf8 } from "node:buffer";
import type { ParquetParsers } from "hyparquet";

/** How the library makes values of bytes. Bytes that are no text stay bytes. */
export const parsers: ParquetParsers = {
  timestampFromMilliseconds: (millis) => timeText(millis * 1_000_000n),
  timestampFromMicroseconds: (micros) => timeText(micros * 1000n),
  timestampFromNanoseconds: (nanos) => timeText(nanos),
  dateFromDays: (days) => timeText(BigInt(days) * 86_400_000_000_000n).slice(0, 10),
  stringFromBytes: textOf,
  jsonFromBytes: textOf,
  geometryFromBytes: (bytes) => bytes,
  geographyFromBytes: (bytes) => bytes,
  uuidFromBytes: (bytes) => Buffer.from(bytes).toString("hex"),
};

/** How the library makes text of decimals, whose type this is taken for. */
export const decimalParsers = (scale: number): ParquetParsers => ({
  ...parsers,
  dateFromDays: (value: number | bigint | Uint8Array) => decimalText(value, scale),
});

function textOf(bytes: Uint8Array | undefined): unknown {
  return bytes && (isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8") : bytes);
}

/** `2026-11-30T12:00:00.123456Z`, with the digits that there are; a time that no calendar has as its number. */
function timeText(nanos: bigint): string {
  const date = new Date(Number(nanos / 1_000_000n - (nanos % 1_000_000n < 0n ? 1n : 0n)));
  if (Number.isNaN(date.getTime())) return String(nanos);
  const below = ((nanos % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const digits = String(below).padStart(9, "0").replace(/0+$/, "");
  return `${date.toISOString().slice(0, 19)}${digits === "" ? "" : `.${digits}`}Z`;
}

function decimalText(value: number | bigint | Uint8Array, scale: number): string {
  const whole = value instanceof Uint8Array ? signed(value) : BigInt(value);
  if (!(scale > 0 && scale <= 1000)) return String(whole);
  const digits = String(whole < 0n ? -whole : whole).padStart(scale + 1, "0");
  return `${whole < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function signed(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt.asIntN(8 * bytes.length, BigInt(`0x${Buffer.from(bytes).toString("hex")}`));
}

/** Makes a value of JSON, and counts about how many bytes it takes. */
export function plainValue(value: unknown, count: (bytes: number) => void): unknown {
  count(8);
  if (typeof value === "string") {
    count(value.length);
    return value;
  }
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint") return String(value);
  if (value instanceof Uint8Array) return textOf(value);
  if (typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((one) => plainValue(one, count));
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plainValue(one, count)]));
}
