/** Numbers in Prometheus' text format. */

/** Labels of a number, in their order. */
export type Labels = Readonly<Record<string, string>>;

/** Something that is shown under one name. */
interface Metric {
  readonly name: string;
  readonly about: string;
  readonly type: "counter" | "gauge" | "histogram";
  lines(): string[];
}

/** Counts up. */
export interface Counter extends Metric {
  add(labels: Labels, count?: number): void;
}

/** Counts values by size. */
export interface Histogram extends Metric {
  observe(value: number): void;
}

export function openCounter(name: string, about: string): Counter {
  const counts = new Map<string, number>();
  return {
    name,
    about,
    type: "counter",
    add(labels, count = 1) {
      const key = labelText(labels);
      counts.set(key, (counts.get(key) ?? 0) + count);
    },
    lines: () => Array.from(counts, ([labels, count]) => `${name}${labels} ${count}`),
  };
}

/** @param read Returns the numbers that there are now. */
export function openGauge(name: string, about: string, read: () => readonly (readonly [Labels, number])[]): Metric {
  const lines = () => read().map(([labels, value]) => `${name}${labelText(labels)} ${value}`);
  return { name, about, type: "gauge", lines };
}

/** @param bounds Upper ones, ascending. */
export function openHistogram(name: string, about: string, bounds: readonly number[]): Histogram {
  const counts = bounds.map(() => 0);
  let [count, sum] = [0, 0];
  return {
    name,
    about,
    type: "histogram",
    observe(value) {
      count++;
      sum += value;
      for (const [i, bound] of bounds.entries()) if (value <= bound) counts[i] = (counts[i] ?? 0) + 1;
    },
    lines: () => [
      ...bounds.map((bound, i) => `${name}_bucket{le="${bound}"} ${counts[i]}`),
      `${name}_bucket{le="+Inf"} ${count}`,
      `${name}_sum ${sum}`,
      `${name}_count ${count}`,
    ],
  };
}

/** All of them, as Prometheus reads them. */
export function exposition(metrics: readonly Metric[]): string {
  const blocks = metrics.map(({ name, about, type, lines }) => {
    return [`# HELP ${name} ${about}`, `# TYPE ${name} ${type}`, ...lines()].join("\n");
  });
  return `${blocks.join("\n")}\n`;
}

function labelText(labels: Labels): string {
  const escaped = (value: string) => value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
