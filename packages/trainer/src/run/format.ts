/** Numbers as people read them. */

/** `0.4 s`, `12 s`, `3m 05s`, `2h 07m`, `3d 04h`. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)}d ${two(hours % 24)}h`;
}

/** `52,002`. */
export function formatCount(n: number): string {
  return Math.round(n).toLocaleString("en-US");
}

/** A loss in nats, to four decimals; any number too large or too small for those in powers of ten. */
export function formatLoss(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return value !== 0 && (Math.abs(value) >= 1000 || Math.abs(value) < 0.001)
    ? value.toExponential(2)
    : value.toFixed(4);
}

/** Three significant digits: `4.98e-3`, `0.732`. */
export function formatSmall(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return "0";
  return Math.abs(value) < 0.01 || Math.abs(value) >= 1000 ? value.toExponential(2) : value.toPrecision(3);
}

/** `42%`; 100 only when all is done. */
export function formatShare(share: number): string {
  return `${Math.min(100, Math.max(0, Math.floor(share * 100 + 1e-9)))}%`;
}

const two = (n: number): string => String(n).padStart(2, "0");
