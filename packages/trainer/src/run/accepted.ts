/** `RUN/accepted.json`: changes that decide bits and were accepted, with a digest, since a rollback goes by it. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { parseStrictJson } from "@zerogate/core/formats";
import { writeFileAtomic } from "@zerogate/core/node";
import * as z from "zod";

/** A change that decides bits and was wanted all the same. */
export interface AcceptedChange {
  readonly field: string;
  readonly was: string;
  readonly is: string;
}

/** `step`: of the checkpoint from which the run went on with it. */
export type AcceptedRecord = AcceptedChange & { readonly step: number };

const schema = z.strictObject({
  changes: z.array(z.strictObject({ step: z.int().min(0), field: z.string(), was: z.string(), is: z.string() })),
  sha256: z.string(),
});

const pathIn = (runDir: string) => join(runDir, "accepted.json");
const digest = (changes: unknown) => createHash("sha256").update(JSON.stringify(changes)).digest("hex");

/** None if there is no such file. @throws InputError if it is not what was written. */
export async function readAccepted(runDir: string): Promise<readonly AcceptedRecord[]> {
  try {
    const { changes, sha256 } = schema.parse(parseStrictJson(await readFile(pathIn(runDir), "utf8")));
    if (sha256 !== digest(changes)) throw new Error("it has another SHA-256");
    return changes;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new InputError(`Cannot read ${pathIn(runDir)}`, "it is damaged: remove it and accept changes again", {
      cause,
    });
  }
}

export async function writeAccepted(runDir: string, changes: readonly AcceptedRecord[]): Promise<void> {
  const ordered = changes.map(({ step, field, was, is }) => ({ step, field, was, is }));
  await writeFileAtomic(pathIn(runDir), `${JSON.stringify({ changes: ordered, sha256: digest(ordered) }, null, 2)}\n`);
}
