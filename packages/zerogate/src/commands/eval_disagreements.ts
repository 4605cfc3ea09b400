/** A page of the questions that models answer differently: one file, nothing is loaded, all text is escaped. */
import type { AnyLoadedTask, OpenQuestion, Question } from "@zerogate/data";
import type { AnsweredItem } from "@zerogate/trainer/command";
import { escapeHtml } from "../report/escape.ts";

/** Questions shown of a task; a page with more is slow to open. */
const MAX_SHOWN = 500;
const MAX_CHARACTERS = 4000;

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
article { border: 1px solid #8886; border-radius: 6px; padding: .8rem 1rem; margin: 1rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; margin: 0 0 .6rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; vertical-align: top; border-top: 1px solid #8884; }
th.score, td.score { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.chosen { font-weight: 700; }`;

/** The tasks with their items, as a page. */
export function disagreementPage(
  tasks: readonly { readonly loaded: AnyLoadedTask; readonly items: readonly AnsweredItem[] }[],
  models: readonly string[],
): string {
  const body = tasks.map(({ loaded, items }) => taskPart(loaded, items, models)).join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Disagreements</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Where ${listed(models.map(escapeHtml))} disagree</h1>
<p>Scores are sums of log-likelihoods in nats; ▸ marks what a model chose, ✓ the right choice.</p>
${body}
</body>
</html>
`;
}

/** `base and adapter`, `base, one and two`. */
function listed(names: readonly string[]): string {
  const [last = "", ...others] = names.toReversed();
  return others.length === 0 ? last : `${others.toReversed().join(", ")} and ${last}`;
}

function taskPart(loaded: AnyLoadedTask, items: readonly AnsweredItem[], models: readonly string[]): string {
  const differing = items.filter((item) => new Set(models.map((model) => answerOf(item, model))).size > 1);
  const shown = differing.slice(0, MAX_SHOWN);
  const rest = differing.length > shown.length ? `, the first ${MAX_SHOWN} of them here` : "";
  const head = `<h2>${escapeHtml(loaded.task.name)}</h2>
<p>${differing.length} of ${items.length} questions are answered differently${rest}.</p>`;
  const questions = new Map(loaded.questions.map(({ doc, question }) => [doc, question]));
  const articles = shown.map((item) => {
    const question = questions.get(item.doc);
    if (!question) return "";
    const place = `${item.section === undefined ? "" : `${escapeHtml(item.section)}, `}record ${item.doc}`;
    const body = "prompts" in question ? choiceRows(question, item, models) : writtenRows(question, item, models);
    return `<article>\n<h3>${place}</h3>\n${body}\n</article>`;
  });
  return `<section>${head}\n${articles.join("\n")}</section>`;
}

/** What has to differ for a question to be shown: the choice, or whether a written answer is right. */
const answerOf = ({ models }: AnsweredItem, model: string): unknown =>
  models[model]?.chosen ?? JSON.stringify(models[model]?.right);

function choiceRows(question: Question, item: AnsweredItem, models: readonly string[]): string {
  const [prompt = ""] = question.prompts;
  const isShared = question.prompts.every((one) => one === prompt);
  const rows = question.answers.map((answer, c) => {
    const text = isShared ? answer : `${question.prompts[c] ?? ""} … ${answer}`;
    const scores = models.map((model) => scoreCell(item, model, c));
    return `<tr><td>${c === item.gold ? "✓ " : ""}${shortened(text)}</td>${scores.join("")}</tr>`;
  });
  const heads = models.map((model) => `<th scope="col" class="score">${escapeHtml(model)}</th>`).join("");
  return `${isShared ? `<pre>${shortened(prompt)}</pre>` : ""}
<table><thead><tr><th scope="col">Choice</th>${heads}</tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

function writtenRows({ prompt, target }: OpenQuestion, item: AnsweredItem, models: readonly string[]): string {
  const rows = models.map((model) => {
    const { right = {}, text = "" } = item.models[model] ?? {};
    const isRight = Object.values(right).some(Boolean);
    return `<tr><th scope="row">${isRight ? "✓ " : ""}${escapeHtml(model)}</th><td><pre>${shortened(text)}</pre></td></tr>`;
  });
  return `<pre>${shortened(prompt)}</pre>
<table><tbody><tr><th scope="row">expected</th><td><pre>${shortened(target)}</pre></td></tr>${rows.join("")}</tbody></table>`;
}

function scoreCell({ models }: AnsweredItem, model: string, choice: number): string {
  const own = models[model];
  const score = own?.logLikelihoods?.[choice]?.toFixed(3) ?? "–";
  return own?.chosen === choice ? `<td class="score chosen">▸ ${score}</td>` : `<td class="score">${score}</td>`;
}

const shortened = (text: string): string =>
  escapeHtml(text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text);
