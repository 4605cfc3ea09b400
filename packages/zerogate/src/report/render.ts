/** `report.html`: one file that opens from disk, in a mail or offline, and runs nothing but its own two scripts. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { writeFileAtomic } from "@zerogate/core/node";
import { configKeys } from "@zerogate/run-config";
import type { AnsweredImage, BeforeAfter, ReportData, SampleAnswer } from "@zerogate/trainer";
import { dataWarnings, describeCounts, formatCount, formatDuration, formatLoss } from "@zerogate/trainer/command";
import { charts } from "./charts.ts";
import { escapeHtml, escapeJson } from "./escape.ts";
import { gateMap } from "./gate_map.ts";
import { pageScript } from "./page_script.ts";
import { pageStyle } from "./page_style.ts";
import { type Thumbnails, thumbnailKey, thumbnailsOf } from "./thumbnails.ts";
import { watchedSection } from "./watched_samples.ts";

/** Writes `RUN/report.html` and returns its path. */
export async function writeReport(runDir: string, data: ReportData): Promise<string> {
  const path = join(runDir, "report.html");
  await writeFileAtomic(path, renderReport(data, await thumbnailsOf(data.samples)));
  return path;
}

/** The page. All text of records, models and paths is escaped, and the content policy names the scripts by their hash. */
export function renderReport(data: ReportData, thumbnails: Thumbnails = new Map()): string {
  const chartList = charts(data);
  const plot = readUplot();
  const scripts = [plot.script, pageScript];
  const hashes = scripts.map((script) => `'sha256-${createHash("sha256").update(script).digest("base64")}'`);
  const images = thumbnails.size > 0 ? " img-src data:;" : "";
  const policy = `default-src 'none';${images} style-src 'unsafe-inline'; script-src ${hashes.join(" ")}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escapeHtml(data.title)} · Zerogate</title>
<style>${plot.style}${pageStyle}</style>
</head>
<body>
<header>
<h1>${escapeHtml(data.title)}</h1>
<p class="quiet">${escapeHtml(subtitle(data))}</p>
</header>
<div class="cards">${cards(data)}</div>
<div class="charts">${chartList.map(({ title, unit }) => `<section><h2>${title} <small>${unit}</small></h2><div class="chart"></div></section>`).join("\n")}</div>
${gateSection(data)}
${sampleSection(data.samples, thumbnails)}
${watchedSection(data.watched)}
${dataSection(data)}
${configSection(data)}
<script type="application/json" id="charts">${escapeJson(chartList)}</script>
${scripts.map((script) => `<script>${script}</script>`).join("\n")}
</body>
</html>
`;
}

function subtitle({ createdAt, versions }: ReportData): string {
  const time = `${createdAt.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  return `LLaMA-Adapter run, ${time}, Zerogate ${versions.zerogate}, Node ${versions.node}`;
}

function cards({ summary, metrics, config, engine }: ReportData): string {
  const last = metrics.steps.at(-1);
  const all: [label: string, valueHtml: string, note: string][] = [];
  if (summary.exactMatch.after !== undefined) {
    all.push(["Exact match", change(summary.exactMatch, percent), "held-out answers, base → adapter"]);
  }
  if (summary.validationLoss.after !== undefined) {
    const at = summary.bestStep === undefined ? "" : `, best at step ${formatCount(summary.bestStep)}`;
    all.push(["Validation loss", change(summary.validationLoss, formatLoss), `nats per token, base → adapter${at}`]);
  }
  if (last) all.push(["Training loss", formatLoss(last.loss), `last of ${formatCount(last.step)} steps`]);
  const [trained, ...rest] = summary.trainedParameters.replace(/^trainable params:\s*/, "").split("||");
  all.push(["Trained parameters", escapeHtml((trained ?? "").trim()), rest.map((part) => part.trim()).join(", ")]);
  all.push(["Adapter", escapeHtml(summary.adapterOf.replace(/,.*/, "")), summary.adapterOf.replace(/^[^,]*, /, "")]);
  all.push([
    "Duration",
    formatDuration(summary.durationMs),
    last ? `${formatCount(last.tokensPerSecond)} tokens/s at the end` : "",
  ]);
  all.push(["Workers", formatCount(config.workers), `engine ${engine}`]);
  return all
    .map(
      ([label, value, note]) =>
        `<section><span>${label}</span><b>${value}</b><span>${escapeHtml(note)}</span></section>`,
    )
    .join("\n");
}

function change({ before, after }: BeforeAfter, show: (value: number) => string): string {
  const to = after === undefined ? "–" : show(after);
  return before === undefined ? to : `<small>${show(before)} →</small> ${to}`;
}

function gateSection({ metrics, layers }: ReportData): string {
  const map = gateMap(metrics.steps, layers);
  return map === "" ? "" : `<section><h2>Gates <small>of each adapted layer over time</small></h2>${map}</section>`;
}

function sampleSection(samples: readonly SampleAnswer[], thumbnails: Thumbnails): string {
  if (samples.length === 0) return "";
  const hasImages = samples.some(({ images = [] }) => images.length > 0);
  const rows = samples.map(
    ({ prompt, expected, base, adapter, images = [] }) =>
      `<tr>${hasImages ? imageCell(images, thumbnails) : ""}${cell("Prompt", prompt)}${cell("Expected", expected)}${cell("Base", base, isSame(base, expected))}${cell("Adapter", adapter, isSame(adapter, expected))}</tr>`,
  );
  const note = hasImages ? "held-out prompts, greedy; the base sees no image" : "held-out prompts, greedy";
  return `<section><h2>Answers before and after <small>${note}</small></h2>
<table class="answers"><thead><tr>${hasImages ? "<th>Image</th>" : ""}<th>Prompt</th><th>Expected</th><th>Base</th><th>Adapter</th></tr></thead><tbody>${rows.join("\n")}</tbody></table></section>`;
}

/** Pictures inside the page; of an image that cannot be read, its path. */
function imageCell(images: readonly AnsweredImage[], thumbnails: Thumbnails): string {
  const shown = images.map((image) => {
    const made = thumbnails.get(thumbnailKey(image));
    if (made && "url" in made) {
      return `<img src="${made.url}" width="${made.width}" height="${made.height}" alt="${escapeHtml(image.path)}">`;
    }
    return `<pre title="${escapeHtml(made?.problem ?? "")}">${escapeHtml(image.path)}</pre>`;
  });
  return `<td data-label="Image">${shown.join("") || "–"}</td>`;
}

function cell(label: string, text: string | undefined, isExpected = false): string {
  const mark = isExpected ? ' class="same"' : "";
  return `<td data-label="${label}"><pre${mark}>${escapeHtml(text ?? "–")}</pre></td>`;
}

const isSame = (answer: string, expected: string | undefined): boolean => answer.trim() === expected?.trim();

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function dataSection({ data }: ReportData): string {
  const rows = data.flatMap((counts) => [
    describeCounts(counts),
    ...dataWarnings(counts),
    `the longest record of ${counts.name} has ${formatCount(counts.longest)} tokens before any cut`,
  ]);
  if (rows.length === 0) return "";
  return `<section><h2>Data</h2><ul>${rows.map((row) => `<li>${escapeHtml(row)}</li>`).join("\n")}</ul></section>`;
}

function configSection({ config }: ReportData): string {
  const rows = configKeys.flatMap((key) => {
    const value = config[key];
    if (value === undefined) return [];
    const isMap = typeof value === "object" && !Array.isArray(value);
    const text = Array.isArray(value) ? value.join(", ") : isMap ? JSON.stringify(value) : String(value);
    return [`<div${text.length > 24 ? ' class="wide"' : ""}><dt>${key}</dt><dd>${escapeHtml(text)}</dd></div>`];
  });
  return `<section><h2>Configuration</h2><dl class="config">${rows.join("\n")}</dl></section>`;
}

/** uPlot from node_modules, with the licence that must travel with it. */
function readUplot(): { script: string; style: string } {
  const require = createRequire(import.meta.url);
  const read = (file: string) => readFileSync(require.resolve(`uplot/${file}`), "utf8");
  const script = `/*\n${read("LICENSE").replaceAll("*/", "")}*/\n${read("dist/uPlot.iife.min.js")}`;
  return { script: script.replaceAll("</script", "<\\/script"), style: read("dist/uPlot.min.css") };
}
