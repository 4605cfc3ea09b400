/** What `zerogate doctor` shows: one screen, whatever is wrong with the machine; `--verbose` and `--json` have all of it. */

import type { MachineCheck } from "@zerogate/core/engine";
import { ownCommand } from "@zerogate/run-config";
import { formatCount } from "@zerogate/trainer/command";
import { fitLine, oneLine } from "../status/fit.ts";

/** Which engine `--engine auto` takes, and what that means. */
export interface Verdict {
  /** Undefined if none runs that is fast enough to be taken unasked. */
  readonly engine: string | undefined;
  readonly detail: string | undefined;
  /** The largest base that it is taken for; undefined: any. */
  readonly largestParameters: number | undefined;
  readonly hasBf16: boolean;
  /** Engines that run here on GPUs and are taken only if they are named. */
  readonly onGpus: readonly string[];
  /** Engines that come before it, each with the reasons why it does not run here. */
  readonly passedOver: readonly { readonly engine: string; readonly missing: readonly string[] }[];
}

export const MAX_ROWS = 24;
export const COLUMNS = 80;
const NAME_COLUMNS = 17;
/** More GPUs than this are one row if all of them work. */
const MAX_GPUS = 4;

export function screenOf(version: string, verdict: Verdict, checks: readonly MachineCheck[]): string {
  const bad = checks.filter(({ ok }) => !ok).length;
  const head = [`zerogate ${version}: ${summary(verdict, bad)}`, ...verdictRows(verdict)];
  const rows = merged(checks).map(rowsOf);
  const all = [...head, ...rows.flat()];
  const isCut = all.some((row) => fitLine(oneLine(row), COLUMNS) !== row) || all.length >= MAX_ROWS;
  const more = isCut || rows.length < checks.length ? [`${ownCommand`doctor --verbose`} shows all of it`] : [];
  const room = MAX_ROWS - head.length - 1;
  const shown = rows.flat().length > room ? mostUrgent(checks, room) : rows.flat();
  return [...head, ...shown, ...more].map((row) => `${fitLine(oneLine(row), COLUMNS)}\n`).join("");
}

/** The same checks in full. */
export function fullText(version: string, verdict: Verdict, checks: readonly MachineCheck[]): string {
  const bad = checks.filter(({ ok }) => !ok).length;
  const head = [`zerogate ${version}: ${summary(verdict, bad)}`, ...verdictRows(verdict)];
  return [...head, ...checks.flatMap((check) => rowsOf({ ...check, brief: check.found }))]
    .map((row) => `${row}\n`)
    .join("");
}

function summary({ engine }: Verdict, bad: number): string {
  if (engine === undefined) return "not ready to train, no fast engine runs here";
  const fault = bad === 1 ? "one check is not ok" : `${bad} checks are not ok`;
  return bad === 0 ? `ready to train here, with the engine ${engine}` : `${fault}, --engine auto takes ${engine}`;
}

function verdictRows({ engine, detail, largestParameters, hasBf16, passedOver, onGpus }: Verdict): string[] {
  const row = (name: string, text: string) => `    ${name.padEnd(NAME_COLUMNS)}${text}`;
  if (engine === undefined) return [row("auto", "takes none: name a slow one with --engine")];
  const size = largestParameters === undefined ? "" : `, bases of up to ${formatCount(largestParameters)} parameters`;
  const others = passedOver.map((other) => other.engine).join(", ");
  const before = others === "" ? "" : `; ${others} ${passedOver.length === 1 ? "does" : "do"} not run here`;
  const gpus = onGpus.length === 0 ? "" : `; for GPUs: --engine ${onGpus.join(" or ")}`;
  const bf16 = hasBf16 ? "yes, for bases in bf16, in about half the time" : "no, this engine computes in f32 only";
  return [
    row("auto", `${engine}${detail === undefined ? "" : ` (${detail})`}${size}${before}${gpus}`),
    row("bf16", bf16),
  ];
}

function rowsOf({ name, ok, found, brief = found, advice }: MachineCheck): string[] {
  const row = `${ok ? "ok " : "no "} ${name.padEnd(NAME_COLUMNS)}${brief}`;
  return advice === undefined ? [row] : [row, `    -> ${advice}`];
}

/** Engines that nobody installed share a row, as do GPUs that all work. */
function merged(checks: readonly MachineCheck[]): MachineCheck[] {
  const absent = checks.filter(
    ({ name, ok, found }) => ok && name.startsWith("engine tfjs:") && found.startsWith("absent"),
  );
  const gpus = checks.filter(({ name, ok }) => ok && name.startsWith("GPU "));
  const isOne = gpus.length > MAX_GPUS;
  const rest = checks.filter((check) => !absent.includes(check) && !(isOne && gpus.includes(check)));
  const gpuRow = { name: "GPUs", ok: true, found: `${gpus.length} work, such as ${gpus[0]?.brief ?? gpus[0]?.found}` };
  const names = absent.map(({ name }) => name.replace("engine ", "")).join(", ");
  const absentRow = { name: "not installed", ok: true, found: names };
  return [...rest, ...(isOne ? [gpuRow] : []), ...(absent.length > 0 ? [absentRow] : [])];
}

/** As many rows as there is room for, what is wrong first, and how many more there are. */
function mostUrgent(checks: readonly MachineCheck[], room: number): string[] {
  const rows = checks.toSorted((a, b) => Number(a.ok) - Number(b.ok)).flatMap(rowsOf);
  return [...rows.slice(0, room - 1), `    and ${rows.length - room + 1} more rows`];
}
