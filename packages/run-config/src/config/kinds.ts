/** What a key is made of: the values that it may hold, its default, and what is said of it. */
import type { FieldRule } from "@zerogate/data";
import { fieldNames } from "@zerogate/data/words";
import * as z from "zod";
import { engineNames, isEnginePath } from "../engines/rows.ts";
import type { DataEntry } from "./data_entries.ts";
import type { HelpGroup } from "./help_groups.ts";

/** `expects` completes the sentence “batchSize is 0, expected …”. */
export interface Kind<T> {
  readonly type: z.ZodType<T>;
  readonly expects: string;
  /** How `--help` shows the value; undefined for a switch, which takes none. */
  readonly argument: string | undefined;
  /** All values, if they are a few words. */
  readonly choices?: readonly string[];
}

export const count = (min: number, max: number): Kind<number> => ({
  type: z.int().min(min).max(max),
  expects: `a whole number of at least ${min} and at most ${max}`,
  argument: "<n>",
});

export const share: Kind<number> = {
  type: z.number().min(0).lt(1),
  expects: "a number from 0 to below 1",
  argument: "<x>",
};

export const positive: Kind<number> = { type: z.number().positive(), expects: "a number above 0", argument: "<x>" };

export const notNegative: Kind<number> = {
  type: z.number().min(0),
  expects: "a number of at least 0",
  argument: "<x>",
};

export const upTo = (kind: Kind<number>, max: number): Kind<number> => ({
  ...kind,
  type: kind.type.refine((value) => value <= max),
  expects: `${kind.expects} and at most ${max}`,
});

export const onOff: Kind<boolean> = { type: z.boolean(), expects: "true or false", argument: undefined };

export const path = (expects: string, argument: string): Kind<string> => ({
  type: z.string().min(1),
  expects,
  argument,
});

export const nameList = (expects: string): Kind<string> => ({
  type: z.string().min(1),
  expects,
  argument: "<name,...>",
});

export const files: Kind<readonly string[]> = {
  type: z.array(z.string().min(1)).min(1),
  expects: "one or more files",
  argument: "<files...>",
};

const fieldRule: z.ZodType<FieldRule> = z.union([
  z.literal(["auto", "own"]),
  z.partialRecord(z.enum(fieldNames), z.string().min(1)),
]);

export const dataEntries: Kind<readonly DataEntry[]> = {
  type: z
    .array(
      z.union([
        z.string().min(1),
        z.strictObject({
          path: z.string().min(1),
          weight: z.number().positive().optional(),
          cap: z.int().min(1).optional(),
          fields: fieldRule.optional(),
          template: z.string().min(1).optional(),
        }),
      ]),
    )
    .min(1),
  expects:
    "one or more files, each a path or {path, weight, cap, fields, template} with a weight above 0 and a cap of at least 1 (as flags FILE=WEIGHT and FILE=WEIGHT,cap=N)",
  argument: "<files...>",
};

export const columns: Kind<FieldRule> = {
  type: fieldRule,
  expects: `auto, own, or fields with their columns, as instruction=question output=answer (fields: ${fieldNames.join(", ")})`,
  argument: "<field=column...>",
};

export const gpus: Kind<readonly number[]> = {
  type: z.array(z.int().min(0)).min(1),
  expects: "numbers of GPUs, as 0,1,2",
  argument: "<n,n,...>",
};

export function oneOf<T extends string>(names: readonly T[]): Kind<T> {
  return {
    type: z.literal(names),
    expects: `one of ${names.join(", ")}`,
    argument: "<name>",
    choices: names,
  };
}

export const engine: Kind<string> = {
  type: z.string().refine((name) => engineNames.includes(name) || isEnginePath(name)),
  expects: `one of ${engineNames.join(", ")}, or the path of a module`,
  argument: "<name>",
  choices: engineNames,
};

/** What a key may hold, and what is said of it. */
export interface Field<T> extends Kind<T> {
  /** Where the help of a command shows it. */
  readonly group: HelpGroup;
  readonly description: string;
  /** Undefined if the key must be given, may stay away, or stands back behind its alternatives. */
  readonly fallback: T | undefined;
  readonly required: boolean;
  /** What earlier versions did, oldest first: a run goes on as the version that began it. */
  readonly earlier?: readonly Earlier<T>[];
  /** Version that added the key, undefined for keys of 0.1.0. Only keys with a default may be added: runs store those always. */
  readonly since?: string;
}

/** The default of all versions before `before`; of a key that was not there yet, what they did. */
interface Earlier<T> {
  readonly before: string;
  readonly value: T;
}

export const required = <T>(group: HelpGroup, kind: Kind<T>, description: string): Field<T> => ({
  ...kind,
  group,
  description,
  fallback: undefined,
  required: true,
});

export const optional = <T>(group: HelpGroup, kind: Kind<T>, description: string, fallback?: T): Field<T> => ({
  ...kind,
  group,
  description,
  fallback,
  required: false,
});

/** A key whose default was `before` in versions before `since`. */
export const changed = <T>(since: string, before: T, field: Field<T>): Field<T> => ({
  ...field,
  earlier: [{ before: since, value: before }],
});

/** A key that 0.1.0 did not have: `before` is what runs of versions before `since` did. */
export const added = <T>(since: string, before: T, field: Field<T>): Field<T> => ({
  ...field,
  since,
  earlier: [{ before: since, value: before }],
});
