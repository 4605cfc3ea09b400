/** `state.msgpack`: what a run needs to know to go on, besides its numbers. */
import { InputError } from "@zerogate/core";
import { Packr } from "msgpackr";
import * as z from "zod";

/** Where a run stands, and what it was trained from: `state.json` of a checkpoint. */
export interface RunState {
  /** Steps done; the next one is plan step `step`. A step commits whole, so there is no position inside one. */
  readonly step: number;
  readonly epoch: number;
  readonly seed: number;
  readonly engine: string;
  /** SHA-256, hexadecimal. A resume refuses if one differs. */
  readonly hashes: {
    readonly base: string;
    readonly data: string;
    readonly tokenizer: string;
    readonly plan: string;
  };
  /** The resolved config, as JSON: a resume says which key that decides bits is not what it was. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly versions: { readonly zerogate: string; readonly node: string };
  /** Best validation so far. */
  readonly best?: { readonly step: number; readonly loss: number } | undefined;
  /** Validations in a row without a new best: early stopping counts on. */
  readonly evaluationsWithoutGain: number;
  /** The validation that was due at this step ended the run before it had a result: a resume begins with it. */
  readonly owesEvaluation?: boolean | undefined;
  /** Steps of the plan that are skipped because of bad numbers, ascending. */
  readonly voided: readonly SkippedStep[];
  /** Link of the receipt's last line. */
  readonly receipt: string;
}

/** A step of the plan that was skipped. */
export interface SkippedStep {
  /** Of the plan, counted from 0. */
  readonly step: number;
  readonly reason: string;
}

/** Raised when an older reader would misread a newer state. */
const VERSION = 2;

/** A state has a kilobyte or two, and a hundred bytes for each step that was skipped; no honest one comes near this. */
const MAX_BYTES = 1 << 20;

const step = z.int().min(0);
const text = z.string().max(1000);
const schema = z.strictObject({
  version: z.literal(VERSION),
  step,
  epoch: z.number().min(0),
  seed: z.int().min(0),
  engine: text,
  hashes: z.strictObject({ base: text, data: text, tokenizer: text, plan: text }),
  config: z.record(text, z.json()), // no Set, Date or Map, which msgpack extensions make
  versions: z.strictObject({ zerogate: text, node: text }),
  best: z.strictObject({ step, loss: z.number() }).optional(),
  evaluationsWithoutGain: z.int().min(0),
  owesEvaluation: z.boolean().optional(),
  voided: z.array(z.strictObject({ step, reason: text })),
  receipt: text,
}) satisfies z.ZodType<RunState>;

/** Plain maps, no msgpackr records: any msgpack reader can show the file. */
const packr = new Packr({ useRecords: false, mapsAsObjects: true });

export function encodeRunState(state: RunState): Uint8Array {
  const { best, owesEvaluation, ...rest } = state;
  return packr.pack({ version: VERSION, ...rest, ...(best && { best }), ...(owesEvaluation && { owesEvaluation }) });
}

/** @throws InputError that names `path` if the bytes are no state of this version. */
export function decodeRunState(bytes: Uint8Array, path: string): RunState {
  const attempt = `Cannot read the run state ${path}`;
  if (bytes.length > MAX_BYTES) {
    throw new InputError(attempt, `it has ${bytes.length} bytes, expected at most ${MAX_BYTES}`);
  }
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch (cause) {
    throw new InputError(attempt, "it is not msgpack", { cause });
  }
  const found = typeof value === "object" && value !== null && "version" in value ? value.version : undefined;
  if (typeof found === "number" && found !== VERSION) {
    const advice = found > VERSION ? "update zerogate" : "start the run again";
    throw new InputError(attempt, `it has version ${found}, this zerogate reads version ${VERSION}: ${advice}`);
  }
  let parsed: ReturnType<typeof schema.safeParse>;
  try {
    parsed = schema.safeParse(value);
  } catch (cause) {
    throw new InputError(attempt, "it nests too deep", { cause }); // the stack overflows on thousands of levels
  }
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path: keys, message }) => `${keys.join(".") || "state"}: ${message}`);
    throw new InputError(attempt, problems);
  }
  const { version: _, ...state } = parsed.data;
  return state;
}
