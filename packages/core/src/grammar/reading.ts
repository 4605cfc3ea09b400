/** A schema while it is read. */
import type { Shape } from "./shape.ts";

/** A part of a schema. */
export type Node = Readonly<Record<string, unknown>>;

/** What readers of parts share. */
export interface Reading {
  /** Notes why a part cannot be followed. */
  refuse(path: string, problem: string): Shape;
  /** Reads a part that stands `depth` parts deep. */
  read(node: unknown, path: string, depth: number): Shape;
}

export const anyValue: Shape = { kind: "any" };

export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns the types that a schema names. */
export function typesOf(type: unknown): readonly string[] | undefined {
  if (type === undefined) return undefined;
  return (Array.isArray(type) ? type : [type]).map(String);
}
