/** Progress as a bar of `width` columns, in eighths of a column. */

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"] as const;

/** `rest` is drawn behind the bar, one character a column. A `share` outside 0…1 is cut. */
export function progressBar(share: number, width: number, rest = "░"): string {
  const columns = Math.max(0, Math.floor(width));
  const filled = Math.round(Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0)) * columns * 8);
  const bar = "█".repeat(Math.floor(filled / 8)) + (eighths[filled % 8] ?? "");
  return bar + rest.repeat(columns - bar.length);
}
