/** The style sheet of a report: light and dark, from a phone's width up. */
import { SHADES } from "./gate_map.ts";

/** Both directions away from the page's own colour, so that zero looks like nothing in light and dark. */
const shades = Array.from({ length: 2 * SHADES + 1 }, (_, i) => {
  const level = i - SHADES;
  const mix = `color-mix(in oklab, var(--${level < 0 ? "blue" : "orange"}) ${Math.round((Math.abs(level) / SHADES) * 100)}%, var(--zero))`;
  return `.g${level} { fill: ${mix}; background: ${mix}; }`;
}).join("\n");

export const pageStyle: string = `
:root {
  color-scheme: light dark;
  --page: #f6f6f4; --card: #ffffff; --ink: #1d1f24; --quiet: #676b73; --line: #e3e3df; --zero: #f0f0ed;
  --blue: #2d6cdf; --orange: #d9682a; --green: #23915a; --violet: #7d55c7; --grey: #a9adb5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121317; --card: #1a1c21; --ink: #e9e9e6; --quiet: #9b9fa8; --line: #2c2f36; --zero: #24262c;
    --blue: #6a9dff; --orange: #f28b50; --green: #4cc38a; --violet: #a98bf0; --grey: #6d727c;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 1180px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; -webkit-text-size-adjust: 100%; }
h1 { margin: 0; font-size: 1.6rem; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 0 0 .6rem; font-size: 1rem; }
h2 small, .quiet { color: var(--quiet); font-weight: 400; }
header p { margin: .2rem 0 1.4rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1rem 1.1rem; margin-bottom: 1rem; min-width: 0; }
.cards { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1rem; margin-bottom: 1rem; }
.cards section { display: flex; flex-direction: column; gap: .15rem; margin: 0; }
.cards b { font-size: 1.45rem; font-weight: 650; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.cards small { font-size: .95rem; font-weight: 500; color: var(--quiet); white-space: nowrap; }
.cards span { color: var(--quiet); font-size: .87rem; }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 1rem; }
.charts section:first-child { grid-column: 1 / -1; }
.chart { width: 100%; }
.u-legend { font-size: .8rem; text-align: left; color: var(--quiet); font-variant-numeric: tabular-nums; }
.u-legend .u-series > * { padding: 2px 6px 2px 0; font-weight: 500; }
.u-legend th::after { content: none !important; }
.uplot { font-family: inherit; }
.gates { display: block; width: 100%; height: auto; overflow: visible; font-size: 11px; fill: var(--quiet); }
.gates .end { text-anchor: end; } .gates .middle { text-anchor: middle; } .gates .start { text-anchor: start; }
.scale { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem; margin: .4rem 0 0; color: var(--quiet); font-size: .82rem; }
.ramp { display: inline-flex; border: 1px solid var(--line); border-radius: 4px; overflow: hidden; }
.ramp i { width: 9px; height: 12px; }
.answers { width: 100%; border-collapse: collapse; table-layout: fixed; }
.answers th { text-align: left; color: var(--quiet); font-weight: 500; font-size: .85rem; padding-bottom: .4rem; }
.answers td { padding: .5rem .7rem .5rem 0; border-top: 1px solid var(--line); vertical-align: top; }
details { border-top: 1px solid var(--line); padding: .45rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; white-space: pre-wrap; }
.watched { width: 100%; border-collapse: collapse; margin-top: .3rem; }
.watched th { width: 6.5rem; text-align: left; color: var(--quiet); font-weight: 500; font-size: .85rem; white-space: nowrap; }
.watched th, .watched td { padding: .25rem .7rem .25rem 0; vertical-align: top; }
pre { margin: 0; font: .84rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 16rem; overflow: auto; }
.same { color: var(--green); } .same::after { content: " ✓"; }
.config { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 0 1.6rem; margin: 0; font-size: .87rem; }
.config div { display: flex; justify-content: space-between; gap: 1rem; border-top: 1px solid var(--line); padding: .3rem 0; }
.config dt { color: var(--quiet); } .config dd { margin: 0; text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.config .wide { grid-column: 1 / -1; }
@media (max-width: 760px) {
  body { padding: 1.2rem .8rem 3rem; }
  .charts { grid-template-columns: minmax(0, 1fr); }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .7rem; }
  .gates { font-size: 24px; } .gates .minor { display: none; }
  .answers thead { display: none; }
  .answers tr { display: block; border-top: 1px solid var(--line); padding: .5rem 0; }
  .answers td { display: block; border: 0; padding: .2rem 0; }
  .answers td::before { content: attr(data-label); display: block; color: var(--quiet); font-size: .78rem; }
}
${shades}
`;
