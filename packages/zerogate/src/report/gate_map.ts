/** The gates of all layers over time as a heat map, drawn in SVG: no script, colours by the style sheet. */
import type { StepMetrics } from "@zerogate/run-files";
import { formatSmall } from "@zerogate/trainer/command";
import { thin } from "./charts.ts";

const MAX_COLUMNS = 160;
/** Shades on each side of zero; the style sheet mixes them (`.g-12` … `.g12`). */
export const SHADES = 12;

const WIDTH = 1000;
const LEFT = 56;
const ROW = 16;
const BOTTOM = 26;

/**
 * One row per adapted layer, the top layer of the model on top; one column per group of steps. Neighbours of one
 * shade are one rectangle, with its values in a tooltip.
 */
export function gateMap(steps: readonly StepMetrics[], layers: readonly number[]): string {
  const columns = thin(steps, MAX_COLUMNS);
  const first = columns[0];
  const last = columns.at(-1);
  if (first === undefined || last === undefined || layers.length === 0) return "";
  const highest = Math.max(...columns.flatMap(({ gates }) => gates.map(Math.abs)).filter(Number.isFinite), 0);
  const columnWidth = (WIDTH - LEFT) / columns.length;
  const shade = (gate: number) => (highest === 0 ? 0 : Math.round((gate / highest) * SHADES));
  const rows = layers.map((layer, i) => {
    const y = (layers.length - 1 - i) * ROW;
    const cells: string[] = [];
    for (let from = 0; from < columns.length; ) {
      const level = shade(columns[from]?.gates[i] ?? 0);
      let to = from + 1;
      while (to < columns.length && shade(columns[to]?.gates[i] ?? 0) === level) to++;
      const [start, end] = [columns[from], columns[to - 1]];
      const range = `${formatSmall(start?.gates[i] ?? 0)} … ${formatSmall(end?.gates[i] ?? 0)}`;
      const place = `x="${tenth(LEFT + from * columnWidth)}" y="${y}" width="${tenth((to - from) * columnWidth + 0.3)}" height="${ROW}"`;
      cells.push(
        `<rect class="g${level}" ${place}><title>layer ${layer}, steps ${start?.step} to ${end?.step}: gate ${range}</title></rect>`,
      );
      from = to;
    }
    return cells.join("") + rowLabel(layer, i, layers.length, y);
  });
  const height = layers.length * ROW;
  const label = `Gate of ${layers.length} layers over steps ${first.step} to ${last.step}, from ${formatSmall(-highest)} to ${formatSmall(highest)}`;
  return `<svg class="gates" viewBox="0 0 ${WIDTH} ${height + BOTTOM}" role="img" aria-label="${label}">${rows.join("")}${stepLabels(columns, height)}</svg>${legend(highest)}`;
}

/** Every fourth layer, counted from the top one; the others, if they are few, on wide screens only. */
function rowLabel(layer: number, i: number, count: number, y: number): string {
  const isMajor = (count - 1 - i) % 4 === 0;
  if (!isMajor && count > 16) return "";
  return `<text class="end${isMajor ? "" : " minor"}" x="${LEFT - 8}" y="${y + ROW - 4}">${layer}</text>`;
}

function stepLabels(columns: readonly StepMetrics[], height: number): string {
  const marks = Math.min(6, columns.length);
  const labels = Array.from({ length: marks }, (_, i) => {
    const at = marks === 1 ? 0 : Math.round((i * (columns.length - 1)) / (marks - 1));
    const x = LEFT + ((at + 0.5) / columns.length) * (WIDTH - LEFT);
    const anchor = i === 0 ? "start" : i === marks - 1 ? "end" : "middle";
    return `<text class="${anchor}" x="${tenth(x)}" y="${height + 20}">${columns[at]?.step}</text>`;
  });
  return `${labels.join("")}<text class="end minor" x="${LEFT - 8}" y="${height + 20}">layer</text>`;
}

function legend(highest: number): string {
  const shades = Array.from({ length: 2 * SHADES + 1 }, (_, i) => `<i class="g${i - SHADES}"></i>`);
  return `<p class="scale"><span>${formatSmall(-highest)}</span><span class="ramp">${shades.join("")}</span><span>${formatSmall(highest)}</span><span>gate, by step (0: the base unchanged)</span></p>`;
}

const tenth = (value: number): string => String(Math.round(value * 10) / 10);
