/**
 * What an adapter takes of one image: the features of its tower, or, of the fusion `query`, the queries that it has made of them
 * before.
 */
export type ImageInput = Float32Array | ImageQueries;

/** What the visual parts of an adapter made of an image, `[K, D]`: they are not run again, and learn nothing from it. */
export interface ImageQueries {
  readonly queries: Float32Array;
}

/** Images, a row of `size` numbers for each. Only read; may lie over shared memory. */
export interface ImageRows {
  readonly values: Float32Array;
  readonly size: number;
  /** What a row is, see `ImageInput`. @default "features" */
  readonly holds?: "features" | "queries";
  /** Further rows behind those of `values`, of several images: their features one after another. @default none */
  readonly joined?: readonly (readonly number[])[];
  /** The row of the image that stands in for one that is missing. @default none */
  readonly missing?: number;
}

/** Returns a row as adapters take it. Throws a RangeError for one that is not there. */
export function imageInput({ values, size, holds, joined = [] }: ImageRows, row: number): ImageInput {
  const count = values.length / size;
  const rows = row < count ? [row] : joined[row - count];
  if (!rows || row < 0) {
    throw new RangeError(
      `Cannot use the images of a cell: row ${row} of their features is named, there are ${count + joined.length}`,
    );
  }
  const parts = rows.map((own) => values.subarray(own * size, (own + 1) * size));
  const numbers = parts.length === 1 ? parts[0] : Float32Array.from(parts.flatMap((part) => [...part]));
  return holds === "queries" ? { queries: numbers } : numbers;
}

/** Images of the samples of a set, or of the sequences of a cell. */
export interface SeenImages {
  /** The row of each one's image, -1 if it has none. */
  readonly rowOf: Int32Array;
  readonly rows: ImageRows;
}

/**
 * Tokenised samples back to back, in shared memory: sample i spans `offsets[i] … offsets[i+1]`.
 * `target[t]` is 1 where token t is to be predicted (part of the response), 0 elsewhere.
 */
export interface TokenSet {
  /** Int32 token ids of all samples. */
  readonly ids: Int32Array;
  /** Uint8, same length as `ids`. The first token of a sample is never a target: nothing precedes it. */
  readonly target: Uint8Array;
  /** Float64 (safe integers), one more than there are samples. */
  readonly offsets: Float64Array;
  /** SHA-256 over ids, targets and offsets, hexadecimal: names the data in plans and checkpoints. */
  readonly hash: string;
  /** What the samples see. @default no sample has an image */
  readonly images?: SeenImages | undefined;
}

/** A cell: some samples packed without padding; the unit of work that one worker computes at a time. */
export interface Cell {
  readonly ids_T: Int32Array;
  /** Restart at 0 for each sample. */
  readonly positions_T: Int32Array;
  readonly cuSeqlens: Int32Array;
  /** Tokens that predict a target, ascending, and the target that follows each. */
  readonly rows_R: Int32Array;
  readonly labels_R: Int32Array;
  /** Side data of the sequences. Adapters that take no images do not see it. @default none has an image */
  readonly images?: SeenImages | undefined;
}

/**
 * Returns what a sample or sequence sees, in memory of its own: its image, or the one that stands in for a missing one.
 *
 * @throws RangeError for a row that is not there.
 * @example
 * const rows = { values: Float32Array.of(1, 2, 3, 4), size: 2, joined: [[1, 0]] };
 * const image = imageOf({ rows, rowOf: Int32Array.of(-1, 2) }, 1);
 * image instanceof Float32Array && [...image]; // [3, 4, 1, 2]
 */
export function imageOf(images: SeenImages | undefined, place: number): ImageInput | undefined {
  const own = images?.rowOf[place] ?? -1;
  const row = own < 0 ? images?.rows.missing : own;
  if (!images || row === undefined) return undefined;
  const image = imageInput(images.rows, row);
  return "queries" in image ? { queries: image.queries.slice() } : image.slice();
}

/**
 * Packs samples, in the given order, into one cell of T tokens without padding, of which R are labelled.
 *
 * @param samples are numbers of samples of `tokens`.
 * @example
 * const tokens: TokenSet = {
 *   ids: Int32Array.of(1, 15, 8, 27, 1, 4, 21),
 *   target: Uint8Array.of(0, 0, 1, 1, 0, 1, 1), // 1 where a token is to be predicted
 *   offsets: Float64Array.of(0, 4, 7), // sample 0 is tokens 0 to 3
 *   hash: "",
 * };
 * const cell = packCell(tokens, [0, 1]);
 */
export function packCell(tokens: TokenSet, samples: readonly number[]): Cell {
  let T = 0;
  for (const sample of samples) T += tokens.offsets[sample + 1] - tokens.offsets[sample];
  const ids_T = new Int32Array(T);
  const positions_T = new Int32Array(T);
  const cuSeqlens = new Int32Array(samples.length + 1);
  const rows: number[] = [];
  const labels: number[] = [];
  let t = 0;
  for (const [s, sample] of samples.entries()) {
    const begin = tokens.offsets[sample];
    const length = tokens.offsets[sample + 1] - begin;
    for (let i = 0; i < length; i++, t++) {
      ids_T[t] = tokens.ids[begin + i];
      positions_T[t] = i;
      if (i > 0 && tokens.target[begin + i] === 1) {
        rows.push(t - 1);
        labels.push(ids_T[t]);
      }
    }
    cuSeqlens[s + 1] = t;
  }
  const { images } = tokens;
  const own = images && { rows: images.rows, rowOf: Int32Array.from(samples, (sample) => images.rowOf[sample]) };
  const [rows_R, labels_R] = [Int32Array.from(rows), Int32Array.from(labels)];
  return { ids_T, positions_T, cuSeqlens, rows_R, labels_R, ...(own && { images: own }) };
}

/**
 * Several cells back to back as the tokens of one pass; cell n spans the tokens `bounds[n] … bounds[n + 1]`. Images stay with the
 * cells: each has features of its own.
 */
export function joinCells(cells: readonly Cell[]): Omit<Cell, "images"> & { readonly bounds: readonly number[] } {
  const bounds = [0];
  for (const [n, { ids_T }] of cells.entries()) bounds.push(bounds[n] + ids_T.length);
  const joined = (part: (cell: Cell) => Int32Array, base = 0) => {
    const parts = cells.map(part);
    const all = new Int32Array(parts.reduce((length, own) => length + own.length, 0));
    let at = 0;
    for (const [n, own] of parts.entries()) for (const value of own) all[at++] = value + base * bounds[n];
    return all;
  };
  return {
    ids_T: joined(({ ids_T }) => ids_T),
    positions_T: joined(({ positions_T }) => positions_T),
    cuSeqlens: Int32Array.of(0, ...joined(({ cuSeqlens }) => cuSeqlens.subarray(1), 1)),
    rows_R: joined(({ rows_R }) => rows_R, 1),
    labels_R: joined(({ labels_R }) => labels_R),
    bounds,
  };
}
