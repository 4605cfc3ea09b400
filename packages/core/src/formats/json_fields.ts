/** Reading named fields of a foreign JSON object: `null` and absent mean the default, all problems are gathered. */

export interface JsonFields {
  /** Adds a problem; the caller throws them all at the end. */
  problem(text: string): void;
  has(name: string): boolean;
  raw(name: string): unknown;
  /** Required if `fallback` is left out. A fallback of NaN comes from a field that is wrong itself: no new problem. */
  integer(name: string, options: { min: number; max?: number; fallback?: number }): number;
  number(name: string, options: { above: number; fallback?: number }): number;
  boolean(name: string, fallback: boolean): boolean;
  /** Fields whose values were asked for so far. */
  readonly asked: ReadonlySet<string>;
}

/** `label` goes in front of the field's name in problems, for example `rope_scaling.`. */
export function jsonFields(source: Readonly<Record<string, unknown>>, problems: string[], label = ""): JsonFields {
  const asked = new Set<string>();
  const raw = (name: string): unknown => {
    asked.add(name);
    return Object.hasOwn(source, name) ? (source[name] ?? undefined) : undefined;
  };
  const problem = (text: string): void => void problems.push(`${label}${text}`);
  const wrong = (name: string, needed: string): number => {
    const value = raw(name);
    problem(`${name} is ${value === undefined ? "missing" : shown(value)}, needed is ${needed}`);
    return Number.NaN; // never used: the caller throws once all fields are read
  };
  return {
    problem,
    raw,
    asked,
    has: (name) => Object.hasOwn(source, name),
    integer(name, { min, max = 2 ** 31 - 1, fallback }) {
      const value = raw(name);
      if (value === undefined && Number.isNaN(fallback)) return Number.NaN;
      const number = value ?? fallback;
      if (typeof number === "number" && Number.isInteger(number) && number >= min && number <= max) return number;
      return wrong(name, `an integer from ${min} to ${max}`);
    },
    number(name, { above, fallback }) {
      const value = raw(name);
      if (value === undefined && Number.isNaN(fallback)) return Number.NaN;
      const number = value ?? fallback;
      if (typeof number === "number" && Number.isFinite(number) && number > above) return number;
      return wrong(name, `a number above ${above}`);
    },
    boolean(name, fallback) {
      const value = raw(name) ?? fallback;
      if (typeof value === "boolean") return value;
      wrong(name, "true or false");
      return fallback;
    },
  };
}

/** A foreign value for a message: as JSON, at most 200 characters, NaN and infinities by name. */
export function shown(value: unknown): string {
  const named = (_: string, inner: unknown) =>
    typeof inner === "number" && !Number.isFinite(inner) ? String(inner) : inner;
  return (typeof value === "number" ? String(value) : JSON.stringify(value, named)).slice(0, 200);
}

/** A JSON object, not an array and not null. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
