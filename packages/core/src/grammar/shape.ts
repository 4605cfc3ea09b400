/** Kinds of JSON values, as schemas describe them. */
/** Bounds of lengths and counts; no `most` is no limit. */
interface Bounds {
  readonly least: number;
  readonly most: number | undefined;
}

interface PropertyShape {
  readonly name: string;
  readonly shape: Shape;
  readonly isRequired: boolean;
}

/** A kind of JSON value. */
export type Shape =
  | { readonly kind: "any" }
  /** Texts of values, as JSON. */
  | { readonly kind: "literals"; readonly texts: readonly string[] }
  | { readonly kind: "string"; readonly length: Bounds }
  /** From the first to the last whole number within the bounds; all numbers without. */
  | { readonly kind: "number" | "integer"; readonly range: readonly [first: number, last: number] | undefined }
  | { readonly kind: "array"; readonly items: Shape; readonly count: Bounds }
  /** `others`: what properties hold that are not listed, if there may be any. */
  | { readonly kind: "object"; readonly properties: readonly PropertyShape[]; readonly others: Shape | undefined }
  | { readonly kind: "union"; readonly of: readonly Shape[] }
  | { readonly kind: "ref"; readonly pointer: string };
