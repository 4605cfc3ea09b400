/** What a check of data found, as one page that loads and runs nothing. All text of records and paths is escaped. */
import type { CheckedSet, DataCheck, LengthSummary, MeasuredLengths } from "@zerogate/data";
import { formatCount } from "@zerogate/trainer/command";
import { faults, isSound, leakFindings, type NamedFinding, oddFindings } from "./data_check_findings.ts";
import { escapeHtml } from "./escape.ts";
import { pageStyle } from "./page_style.ts";

const style = `${pageStyle}
table { width: 100%; border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { color: var(--quiet); font-weight: 500; }
th, td { text-align: right; padding: .3rem 0 .3rem .8rem; border-top: 1px solid var(--line); vertical-align: top; }
th { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; overflow-wrap: anywhere; min-width: 6.5rem; }
thead th { border-top: 0; }
.wide { overflow-x: auto; }
.bars td:nth-child(2) { width: 1%; }
.bars td:last-child { width: 70%; }
.bars i { display: block; height: .8rem; margin-top: .35rem; border-radius: 3px; background: var(--blue); }
.good { color: var(--green); } .bad { color: var(--orange); }
dl { margin: .4rem 0 .2rem; } dt { color: var(--quiet); font-size: .85rem; overflow-wrap: anywhere; } dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
@media (max-width: 760px) { th, td { padding-left: .5rem; } .bars td:last-child { width: 45%; } }
`;

/** The page of a check. */
export function dataCheckPage(check: DataCheck): string {
  const { sets, leaks } = check;
  const files = sets.flatMap((set) => set.files.map(({ path }) => path));
  const title = files.length === 1 ? (files[0] ?? "") : `${formatCount(files.length)} data files`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)} · Zerogate</title>
<style>${style}</style>
</head>
<body>
<header><h1>${escapeHtml(title)}</h1><p class="quiet">${verdict(check)}</p></header>
${leaks ? findingSection("Validation records", leakFindings(leaks), "none of them is trained on") : ""}
${sets.map(setPart).join("\n")}
</body>
</html>
`;
}

function verdict(check: DataCheck): string {
  return isSound(check)
    ? '<span class="good">✓ A run would take the data as they are.</span>'
    : '<span class="bad">▲ A run would refuse some of it, or find its held-out loss too good.</span>';
}

function setPart(set: CheckedSet): string {
  const { name, files, lengths, tokens } = set;
  const counted = tokens ? [tokens.lengths] : lengths;
  const [first] = counted;
  return `<h2>${name === "data" ? "Data" : "Validation data"}</h2>
<div class="cards">${cards(set)}</div>
${
  files.length > 1
    ? section(
        "Files",
        tableOf(
          ["file", "records"],
          files.map(({ path, records }) => [path, formatCount(records)]),
        ),
      )
    : ""
}
${faultSection(set)}
${first ? section(`Lengths <small>${first.unit} of a record</small>`, histogram(first.record, first.unit)) : ""}
${section("Lengths in numbers", lengthTable(counted))}
${first ? section("Longest and shortest", namedLengths(first)) : ""}
${findingSection("Odd records", oddFindings(set), "none")}
${section("Fields", columnTable(set))}
${section("Scripts", scriptTable(set))}`;
}

function cards(set: CheckedSet): string {
  const { records, chats, bad, lengths, tokens } = set;
  const first = tokens ? tokens.lengths : lengths[0];
  const all: [label: string, value: string, note: string][] = [
    ["Records", formatCount(records), chats > 0 ? `${formatCount(chats)} of them chats` : "instructions"],
    ["Bad records", formatCount(bad), "left out with --skip-bad-records, else refused"],
  ];
  if (first) {
    const note = tokens ? "of all tokens are trained" : `of all ${first.unit} are answers`;
    all.push(["Answers", percent(first.answerShare), note]);
  }
  if (tokens) {
    const lost = `${formatCount(tokens.noAnswerLeft)} left out as nothing of their answer fits`;
    all.push([`Cut at ${formatCount(tokens.maxLength)} tokens`, formatCount(tokens.cut), lost]);
  }
  return all
    .map(([label, value, note]) => `<section><span>${label}</span><b>${value}</b><span>${note}</span></section>`)
    .join("\n");
}

function faultSection(set: CheckedSet): string {
  const found = faults(set);
  if (found.length === 0) return "";
  const items = found.map((fault) => `<li>${escapeHtml(fault)}</li>`).join("\n");
  return section('<span class="bad">▲ What a run would refuse</span>', `<ul>${items}</ul>`);
}

function histogram({ histogram: bins }: LengthSummary, unit: string): string {
  const most = Math.max(1, ...bins.map(({ count }) => count));
  const rows = bins.map(({ from, to, count }) => {
    const width = `${((100 * count) / most).toFixed(1)}%`;
    const range = `${formatCount(from)} – ${formatCount(to - 1)}`;
    return `<tr><td>${range}</td><td>${formatCount(count)}</td><td><i style="width:${width}"></i></td></tr>`;
  });
  const heads = `<tr><th scope="col">${unit}</th><th scope="col">records</th><th></th></tr>`;
  return `<table class="bars"><thead>${heads}</thead><tbody>${rows.join("\n")}</tbody></table>`;
}

function lengthTable(counted: readonly MeasuredLengths[]): string {
  const row = (name: string, { shortest, mean, longest, percentiles }: LengthSummary) => [
    name,
    ...[shortest, mean, percentiles["50"], percentiles["95"], percentiles["99"], longest].map(formatCount),
  ];
  const rows = counted.flatMap(({ unit, record, answer }) => [
    row(`${unit} of a record`, record),
    row(unit === "tokens" ? "tokens that are trained" : `${unit} of its answer`, answer),
  ]);
  return tableOf(["", "shortest", "mean", "half", "95 %", "99 %", "longest"], rows);
}

function namedLengths({ unit, longest, shortest }: MeasuredLengths): string {
  const rows = (list: typeof longest) => list.map(({ place, length }) => [place, formatCount(length)]);
  return `${tableOf(["longest", unit], rows(longest))}${tableOf(["shortest", unit], rows(shortest))}`;
}

function findingSection(title: string, findings: readonly NamedFinding[], none: string): string {
  const found = findings.filter(({ finding }) => finding.records > 0);
  if (found.length === 0) return section(title, `<p class="quiet">${none}</p>`);
  const parts = found.map(({ name, finding }) => {
    const examples = finding.examples.map(({ place, like, text }) => {
      const places = like === undefined ? escapeHtml(place) : `${escapeHtml(place)}, like ${escapeHtml(like)}`;
      return `<dt>${places}</dt><dd>${escapeHtml(text)}</dd>`;
    });
    const head = `<b>${formatCount(finding.records)}</b> ${escapeHtml(name)}`;
    return `<details><summary>${head}</summary><dl>${examples.join("\n")}</dl></details>`;
  });
  return section(title, parts.join("\n"));
}

function columnTable({ columns, unread }: CheckedSet): string {
  const rows = columns.map(({ name, texts, empty, meanCharacters, longestCharacters }) => [
    name,
    ...[texts, empty, meanCharacters, longestCharacters].map(formatCount),
  ]);
  const read = tableOf(["field", "texts", "empty", "mean characters", "longest"], rows);
  if (unread.length === 0) return read;
  const others = unread.map(({ name, records }) => [name, formatCount(records)]);
  return `${read}${tableOf(["fields that are not read", "records"], others)}`;
}

function scriptTable({ scripts, records }: CheckedSet): string {
  const rows = scripts.map(({ name, records: own }) => [name, formatCount(own), percent(own / records)]);
  return tableOf(["script of most letters", "records", "share"], rows);
}

/** @param title as HTML */
function section(title: string, body: string): string {
  return `<section><h2>${title}</h2>${body}</section>`;
}

function tableOf(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = heads.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join("");
  const body = rows.map((cells) => `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("")}</tr>`);
  return `<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>${body.join("\n")}</tbody></table></div>`;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
