/** Tables in docs/ that a run of the whole suite writes: what is asked for, the tests that show it, and what came of them. */
import { join } from "node:path";
import { dataRows } from "./data_rows.ts";
import { fieldRows } from "./field_rows.ts";
import { imageRows } from "./image_rows.ts";
import { familyAspects, familyRows, modelRows } from "./model_rows.ts";
import { parityRows } from "./parity_rows.ts";
import { servingRows } from "./serving_rows.ts";
import { root, type Tagged } from "./tags.ts";

export interface Row {
  readonly id: string;
  readonly what: string;
  /** Why no test covers it. */
  readonly why?: string;
}

export interface Table {
  readonly path: string;
  readonly title: string;
  readonly about: string;
  readonly rows: readonly Row[];
  /** A second table: which of the rows hold in which respects. */
  readonly matrix?: { readonly title: string; readonly rows: readonly Row[]; readonly columns: readonly Row[] };
}

const how =
  "Written by `pnpm run tables` from a run of the whole suite; `tests/tables/tables.test.ts` checks that no row is missing and that the names are current.";

export const tables: readonly Table[] = [
  {
    path: join(root, "docs/parity.md"),
    title: "Parity",
    about: `What PEFT's own tests, our case table and litgpt's tests ask for, the tests that show it, and what came of them. ${how}`,
    rows: parityRows,
  },
  {
    path: join(root, "docs/field_cases.md"),
    title: "Field cases",
    about: `Faults that people met with this and with other trainers, the tests that keep them mended, and what came of them. ${how}`,
    rows: fieldRows,
  },
  {
    path: join(root, "docs/image_cases.md"),
    title: "Image cases",
    about: `What training on images has to show, the tests that show it, and what came of them. ${how}`,
    rows: imageRows,
  },
  {
    path: join(root, "docs/models.md"),
    title: "Models",
    about: `What a base may be and where it may come from: families, forms of files, 4-bit storage, the Hub; the tests that show it, and what came of them. ${how}`,
    rows: modelRows,
    matrix: { title: "Families", rows: familyRows, columns: familyAspects },
  },
  {
    path: join(root, "docs/data_forms.md"),
    title: "Data",
    about: `What data may be and what is done with it: chats, files, columns, tasks; the tests that show it, and what came of them. ${how}`,
    rows: dataRows,
  },
  {
    path: join(root, "docs/serving_api.md"),
    title: "Serving",
    about: `What \`zerogate serve\` answers: each route, parameter and limit; the tests that show it, and what came of them. ${how}`,
    rows: servingRows,
  },
];

/** Within a cell of a table. */
export const LINE_BREAK = "<br>";

/** A row of the table up to its result. */
export function rowHead({ id, what }: Row, own: readonly Tagged[]): string {
  const cells = own.map(({ file, title }) => `${title.replaceAll("|", String.raw`\|`)} (\`${file}\`)`);
  return `| ${id} | ${what} | ${cells.join(LINE_BREAK) || "–"} |`;
}
