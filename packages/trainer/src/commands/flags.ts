/** Flags that several commands share. */
import { InputError } from "@zerogate/core";
import { engineNames, type TrainConfig } from "../config/train_config.ts";

/** A number from a flag's text; what is wrong with it is added to `problems`. */
export function numberFlag(
  name: string,
  text: string | undefined,
  fallback: number,
  range: { readonly min: number; readonly max?: number; readonly whole?: boolean },
  problems: string[],
): number {
  if (text === undefined) return fallback;
  const { min, max = Number.MAX_SAFE_INTEGER, whole = false } = range;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  const upper = range.max === undefined ? "" : ` and at most ${max}`;
  problems.push(`${name} is "${text}", expected a ${whole ? "whole " : ""}number of at least ${min}${upper}`);
  return fallback;
}

/** The engine of that name; default: the first. */
export function engineFlag(name: string | undefined): TrainConfig["engine"] {
  const engine = engineNames.find((known) => known === (name ?? engineNames[0]));
  if (engine === undefined) {
    throw new InputError(
      "Cannot choose the engine",
      `--engine is "${name}", expected one of ${engineNames.join(", ")}`,
    );
  }
  return engine;
}
