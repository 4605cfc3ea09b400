/** Answers to the same prompts while a run went on, as a part of its report. */
import type { SampledAnswer } from "@zerogate/run-files";
import { formatCount } from "@zerogate/trainer/command";
import { escapeHtml } from "./escape.ts";

/** A list to unfold for each prompt; nothing without answers. */
export function watchedSection(watched: readonly SampledAnswer[]): string {
  const ofSample = new Map<number, SampledAnswer[]>();
  for (const line of watched) ofSample.set(line.sample, [...(ofSample.get(line.sample) ?? []), line]);
  if (ofSample.size === 0) return "";
  const parts = [...ofSample.values()].map(samplePart).join("\n");
  return `<section><h2>Answers while training <small>held-out prompts, greedy</small></h2>${parts}</section>`;
}

function samplePart(lines: readonly SampledAnswer[], place: number): string {
  const [{ prompt, expected } = { prompt: "", expected: "" }] = lines;
  let before: string | undefined;
  const rows = lines.map(({ step, base, adapter }) => {
    const text = base ?? adapter ?? "";
    const [isSame, isNew] = [text.trim() === expected.trim(), text !== before];
    before = text;
    const who = base === undefined ? `step ${formatCount(step)}` : "base";
    const shown = isNew
      ? `<pre${isSame ? ' class="same"' : ""}>${escapeHtml(text)}</pre>`
      : '<span class="quiet">as before</span>';
    return `<tr><th scope="row">${who}</th><td>${shown}</td></tr>`;
  });
  const wanted = `<tr><th scope="row">expected</th><td><pre>${escapeHtml(expected)}</pre></td></tr>`;
  return `<details${place === 0 ? " open" : ""}><summary>${escapeHtml(prompt)}</summary>
<table class="watched"><tbody>${rows.join("\n")}${wanted}</tbody></table></details>`;
}
