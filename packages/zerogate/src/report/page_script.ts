/** What runs in the page: uPlot drawing the charts of the JSON that the page carries. Plain JavaScript, as text. */
export const pageScript: string = `
"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const hosts = [...document.querySelectorAll(".chart")];
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const number = (value) => value == null ? "–" : Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en-US")
    : value !== 0 && Math.abs(value) < 0.01 ? value.toExponential(2) : String(Number(value.toPrecision(4)));

  const series = ({ label, color: name, shown, style }) => ({
    label,
    stroke: color(name) + (style === "faint" ? "55" : ""),
    fill: style === "area" ? color(name) : undefined,
    width: style === "faint" ? 1 : style === "area" ? 0 : 2,
    spanGaps: true,
    points: { show: style === "points", size: 7, fill: color(name) },
    value: (plot, value, index, at) => number(shown && at != null ? shown[at] : value),
  });

  const axis = (more) => ({
    stroke: color("quiet"),
    grid: { stroke: color("line"), width: 1 },
    ticks: { stroke: color("line"), width: 1 },
    font: "11px system-ui, sans-serif",
    ...more,
  });

  const draw = (chart, host) => {
    const height = host.closest("section").matches(":first-child") ? 320 : 220;
    const steps = { values: (plot, marks) => marks.map((m) => Number.isInteger(m) ? m.toLocaleString("en-US") : "") };
    return new uPlot({
      width: host.clientWidth,
      height,
      scales: { x: { time: false }, y: chart.fromZero ? { range: (plot, low, high) => [0, high * 1.05 || 1] } : {} },
      cursor: { sync: { key: "steps" }, points: { size: 6 } },
      axes: [axis(steps), axis({ size: 58, values: (plot, marks) => marks.map(number) })],
      series: [{ label: "step" }, ...chart.series.map(series)],
    }, [chart.steps, ...chart.series.map(({ drawn }) => drawn)], host);
  };

  let plots = [];
  const drawAll = () => {
    for (const plot of plots) plot.destroy();
    plots = charts.map((chart, i) => draw(chart, hosts[i]));
  };
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let frame = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => plots.forEach((plot, i) => plot.setSize({ width: hosts[i].clientWidth, height: plot.height })));
  });
})();
`;
