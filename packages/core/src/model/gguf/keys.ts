/** Metadata of a GGUF file being read: what is asked for under the name of its architecture, and what nobody asked for. */

import type { GgufArray, GgufValue } from "../../formats/gguf_values.ts";
import { shown } from "../../formats/json_fields.ts";

/** Reads `ARCHITECTURE.name`; all problems are gathered. */
export interface GgufKeys {
  problem(text: string): void;
  /** The value of a key, with the architecture in front of its name unless `isWhole`. */
  raw(name: string): GgufValue | undefined;
  /** A whole number of at least 1, or a list of equal ones, one for each layer. Required without a fallback. */
  count(name: string, fallback?: number): number;
  /** Required without a fallback. */
  number(name: string, fallback?: number): number;
  boolean(name: string, fallback: boolean): boolean;
  /** Keys that nobody asked for and that may matter, with the architecture in front. */
  unread(): string[];
}

/** What changes nothing: how the file was made, and what other keys say as well. */
const harmless = new Set([
  "vocab_size",
  "tensor_data_layout",
  "rope.scaling.finetuned",
  "attention.layer_norm_epsilon",
]);

/** Keys that change nothing if they have this value. */
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  "attention.causal": [true],
  expert_count: [0],
  expert_used_count: [0],
  pooling_type: [0],
  "rope.scaling.yarn_ext_factor": [1, -1],
  "rope.scaling.yarn_attn_factor": [1],
  "rope.scaling.attn_factor": [1],
  nextn_predict_layers: [0],
};

export function ggufKeys(metadata: ReadonlyMap<string, GgufValue>, architecture: string, problems: string[]): GgufKeys {
  const prefix = `${architecture}.`;
  const asked = new Set<string>();
  const problem = (text: string) => void problems.push(text);
  const raw = (name: string) => {
    asked.add(name);
    return metadata.get(prefix + name);
  };
  const wrong = (name: string, value: unknown, needed: string): number => {
    problem(`${prefix}${name} is ${value === undefined ? "missing" : describe(value)}, needed is ${needed}`);
    return Number.NaN;
  };
  return {
    problem,
    raw,
    count(name, fallback) {
      const value = raw(name);
      const number = common(value) ?? (value === undefined ? fallback : undefined);
      if (typeof number === "number" && Number.isInteger(number) && number >= 1) return number;
      return Number.isNaN(number) ? Number.NaN : wrong(name, value, "a whole number from 1 on, the same in all layers");
    },
    number(name, fallback) {
      const value = raw(name) ?? fallback;
      return typeof value === "number" ? value : wrong(name, value, "a number");
    },
    boolean(name, fallback) {
      const value = raw(name) ?? fallback;
      if (typeof value !== "boolean") wrong(name, value, "true or false");
      return value === true;
    },
    unread() {
      return [...metadata.keys()].filter((key) => {
        if (!key.startsWith(prefix)) return false;
        const name = key.slice(prefix.length);
        return !asked.has(name) && !harmless.has(name) && !neutral[name]?.includes(metadata.get(key));
      });
    },
  };
}

/** The number, or that of a list of equal ones. */
function common(value: GgufValue | undefined): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value !== "object" || value.of !== "number" || value.length === 0 || value.length > 10_000)
    return undefined;
  const [first, ...others] = value.values();
  return typeof first === "number" && others.every((other) => other === first) ? first : undefined;
}

/** A value for one line of a message. */
export function describe(value: unknown): string {
  const isArray = typeof value === "object" && value !== null;
  return isArray ? `a list of ${(value as GgufArray).length}` : shown(value);
}
