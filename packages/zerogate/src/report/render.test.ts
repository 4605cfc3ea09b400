import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Script } from "node:vm";
import { resolveConfig } from "@zerogate/run-config";
import type { EvaluationMetrics, StepMetrics } from "@zerogate/run-files";
import type { ReportData } from "@zerogate/trainer";
import { expect, test } from "vitest";
import { charts, thin } from "./charts.ts";
import { escapeHtml, escapeJson } from "./escape.ts";
import { gateMap } from "./gate_map.ts";
import { renderReport, writeReport } from "./render.ts";

const stepLine = (step: number): StepMetrics => ({
  step,
  epoch: step / 10,
  loss: 2 / step,
  learningRate: 1e-3,
  gradientNorm: 0.5,
  gates: [step / 100, -step / 200],
  labelledTokens: 10,
  tokens: 20,
  labelledTokensPerSecond: 100,
  tokensPerSecond: 200,
  computeMs: 80,
  reduceMs: 5,
  waitMs: 15,
  stepMs: 100,
});

const evalLine = (step: number, loss: number): EvaluationMetrics => ({
  event: "eval",
  step,
  epoch: step / 10,
  loss,
  perplexity: Math.exp(loss),
  labelledTokens: 50,
});

const hostile = `</script><script>alert("x")</script><!-- <img src=x onerror='alert(1)'> & \u2028`;

const data: ReportData = {
  title: hostile,
  createdAt: new Date("2026-11-23T12:00:00Z"),
  config: resolveConfig({ flags: { model: hostile, data: ["records.json"], out: "run", workers: 3 } }),
  engine: "cpu/avx2/f32",
  data: [
    {
      name: "data",
      records: 300,
      kept: 290,
      cut: 5,
      noAnswerLeft: 8,
      bad: 2,
      emptyAnswers: 1,
      maxLength: 128,
      longest: 1234,
      unread: [{ name: "<b>system</b>", records: 7 }],
    },
  ],
  metrics: { steps: [1, 2, 3, 4].map(stepLine), evaluations: [evalLine(0, 3), evalLine(4, 1.25)] },
  layers: [2, 3],
  summary: {
    trainedParameters: "trainable params: 1,228,830 || all params: 6,739,644,446 || trainable%: 0.0182",
    durationMs: 185_000,
    validationLoss: { before: 3, after: 1.25 },
    exactMatch: { before: 0.01, after: 0.925 },
    bestStep: 4,
    adapterOf: "step 4 of 6, with the lowest held-out loss, 1.25",
  },
  samples: [{ prompt: hostile, expected: "Green.", base: hostile, adapter: "Green. " }],
  watched: [],
  versions: { zerogate: "0.1.0", node: "v20.20.0" },
};

test("text of records, models and paths cannot become markup", () => {
  const page = renderReport(data);
  const scripts = page.match(/<script/g) ?? [];
  expect(scripts).toHaveLength(3); // the data, uPlot, the page's own
  expect(page).not.toContain("<img");
  expect(page).not.toContain('alert("x")');
  expect(page.split(escapeHtml(hostile))).toHaveLength(6); // title twice, prompt, base answer, config
  expect(escapeHtml(hostile)).not.toMatch(/[<>"']/);
  expect(escapeJson({ text: hostile })).not.toContain("<");
  expect(JSON.parse(escapeJson({ text: hostile }))).toEqual({ text: hostile });
});

test("the page reaches for nothing outside itself", () => {
  const page = renderReport(data);
  expect(page).toContain("default-src 'none'");
  // What the policy forbids the scripts; the rest is looked at without the hostile text, which says src= itself.
  const markup = page.replace(/<script[\s\S]*?<\/script>/g, "").replaceAll(escapeHtml(hostile), "");
  expect(markup).not.toMatch(/\b(?:src|href)\s*=|@import|url\(/i);
});

test("both scripts are JavaScript and allowed by their hash, no other is", () => {
  const page = renderReport(data);
  const scripts = [...page.matchAll(/<script>([\s\S]*?)<\/script>/g)].map((match) => match[1] ?? "");
  expect(scripts).toHaveLength(2);
  for (const script of scripts) expect(() => new Script(script)).not.toThrow();
  expect(page.match(/'sha256-[^']+'/g)).toHaveLength(2);
  expect(page).not.toMatch(/script-src[^;"]*unsafe/);
});

test("the cards show before and after, the parameters in PEFT's words and the duration", () => {
  const page = renderReport(data);
  for (const text of ["1.0 % →</small> 92.5 %", "3.0000 →</small> 1.2500", "1,228,830", "3m 05s", "best at step 4"]) {
    expect(page).toContain(text);
  }
});

test("an answer is marked if it is the expected one", () => {
  expect(renderReport(data).match(/class="same"/g)).toHaveLength(1);
});

test("a run that was stopped before its first step still gets a page", () => {
  const { validationLoss: _, exactMatch: __, ...summary } = data.summary;
  const page = renderReport({
    ...data,
    metrics: { steps: [], evaluations: [] },
    samples: [],
    summary: { ...summary, validationLoss: {}, exactMatch: {} },
  });
  expect(page).toContain("Trained parameters");
  expect(page).not.toContain('class="chart"');
  expect(page).not.toContain("NaN");
});

test("training and validation share one axis of steps, with gaps if one has no value", () => {
  const [loss] = charts(data);
  expect(loss?.steps).toEqual([0, 1, 2, 3, 4]);
  expect(loss?.series.map(({ label, drawn }) => [label, drawn])).toEqual([
    ["each batch", [null, 2, 1, 0.66667, 0.5]],
    ["training, smoothed", [null, 2, 1, 0.66667, 0.5]],
    ["validation", [3, null, null, null, 1.25]],
  ]);
});

test("the times of a step are stacked, the legend shows each by itself", () => {
  const time = charts(data).at(-1);
  expect(time?.series.map(({ label, drawn, shown }) => [label, drawn[0], shown?.[0]])).toEqual([
    ["wait", 100, 15],
    ["reduce", 85, 5],
    ["compute", 80, 80],
  ]);
});

test("long runs are thinned to means, ending at the last step", () => {
  const steps = Array.from({ length: 1000 }, (_, i) => ({ ...stepLine(i + 1), loss: i % 2 }));
  const thinned = thin(steps, 100);
  expect(thinned).toHaveLength(100);
  expect(thinned.at(-1)?.step).toBe(1000);
  expect(new Set(thinned.map(({ loss }) => loss))).toEqual(new Set([0.5]));
});

test("the gate map has the top layer on top and its strongest shade where the gate is largest", () => {
  const map = gateMap(data.metrics.steps, data.layers);
  expect(map).toContain('<rect class="g12" x="764" y="16" width="236.3" height="16"><title>layer 2, steps 4 to 4');
  expect(map).toContain('<rect class="g-6" x="764" y="0"');
  expect(
    gateMap(
      data.metrics.steps.map((s) => ({ ...s, gates: [0, 0] })),
      data.layers,
    ),
  ).toContain('class="g0"');
  expect(gateMap([], [1])).toBe("");
});

test("the page is written into the run directory", async () => {
  const run = await mkdtemp(join(tmpdir(), "zerogate-report-"));
  const path = await writeReport(run, data);
  expect(path).toBe(join(run, "report.html"));
  expect(readFileSync(path, "utf8")).toBe(renderReport(data));
  await rm(run, { recursive: true });
});

test("what became of the data is said, its own words as text [T-D3, T-C7]", () => {
  const page = renderReport(data);
  for (const row of [
    "data: 290 of 300 records are used, 5 of them cut at maxLength 128; 8 left out, nothing of their answer fits; 2 left out as bad",
    "8 records of data were left out: nothing of the answer fits into maxLength 128",
    "1 record of data has no answer but its end",
    "the longest record of data has 1,234 tokens before any cut",
  ]) {
    expect(page).toContain(`<li>${row}</li>`);
  }
  expect(page).toContain("&lt;b&gt;system&lt;/b&gt;&quot; (7)");
  expect(renderReport({ ...data, data: [] })).not.toContain("<h2>Data</h2>");
});

test("answers about images show them inside the page, paths of those that cannot be shown as text", () => {
  const images = ["a<b>.png", 'gone"<i>.png'].map((path) => ({ root: "/photos", path }));
  const samples = [{ prompt: "What is it?", expected: "a ball", base: "...", adapter: "a ball", images }];
  const url = "data:image/png;base64,AAAA";
  const thumbnails = new Map([
    ["/photos\0a<b>.png", { url, width: 96, height: 48 }],
    ['/photos\0gone"<i>.png', { problem: 'it is "gone"' }],
  ]);
  const page = renderReport({ ...data, samples }, thumbnails);
  expect(page).toContain(`<img src="${url}" width="96" height="48" alt="a&lt;b&gt;.png">`);
  expect(page).toContain('<pre title="it is &quot;gone&quot;">gone&quot;&lt;i&gt;.png</pre>');
  expect(page).toContain("default-src 'none'; img-src data:; style-src");
  expect(page).toContain("the base sees no image");
  const text = renderReport(data);
  expect(text).not.toContain("<th>Image</th>");
  expect(text).not.toContain("img-src");
});

test("answers while training stand by prompt and step, changes and right ones marked, all escaped", () => {
  const line = (step: number, answer: object) => ({ step, sample: 3, prompt: hostile, expected: "red", ...answer });
  const answers = [line(0, { base: "the" }), line(5, { adapter: "the" }), line(10, { adapter: "red" })];
  const page = renderReport({ ...data, watched: answers });
  const [, part = ""] = page.split("<h2>Answers while training");
  expect(part).toContain(`<summary>${escapeHtml(hostile)}</summary>`);
  expect(part).toContain('<th scope="row">base</th><td><pre>the</pre></td>');
  expect(part).toContain('<th scope="row">step 5</th><td><span class="quiet">as before</span></td>');
  expect(part).toContain('<th scope="row">step 10</th><td><pre class="same">red</pre></td>');
  expect(renderReport(data)).not.toContain("Answers while training");
});
