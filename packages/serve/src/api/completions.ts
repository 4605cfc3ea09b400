/** `POST /v1/completions`: texts that go on as the model would. */
import { type AnsweredToken, type Answering, type AnswerListener, type Prompt, startAnswers } from "./answer.ts";
import { openReading } from "./answer_text.ts";
import { bodyOf, type Call, onLeaving, type Reply, streamOf } from "./call.ts";
import { type CompletionLogprobs, completionLogprobs } from "./logprobs.ts";
import { type Served, type Target, targetOf } from "./served.ts";
import { type CompletionBody, completionShape } from "./shapes.ts";
import { finishWord, secondsNow, usageOf } from "./usage.ts";

/** One text of the answer so far. */
interface Choice {
  readonly index: number;
  readonly prompt: EncodedPrompt;
  text: string;
  readonly tokens: AnsweredToken[];
  /** Of them, tokens of the answer. */
  newTokens: number;
  finishReason: "stop" | "length" | null;
}

interface EncodedPrompt extends Prompt {
  readonly text: string;
}

/** Answers with JSON, or as a stream of events. */
export async function completions(served: Served, call: Call): Promise<Reply | undefined> {
  const body = bodyOf(call, completionShape);
  const target = targetOf(served, body.model);
  call.onModel(target.name);
  const prompts = promptsOf(served, target, body);
  const choices = prompts.flatMap((prompt, p) =>
    Array.from({ length: body.n }, (_, i): Choice => {
      return { index: p * body.n + i, prompt, text: "", tokens: [], newTokens: 0, finishReason: null };
    }),
  );
  const head = { id: `cmpl-${call.id}`, object: "text_completion", created: secondsNow(), model: target.name };
  const usage = () => {
    const prompt = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
    return usageOf(
      prompt,
      choices.reduce((sum, { newTokens }) => sum + newTokens, 0),
    );
  };
  const begin = (onChange: (choice: Choice, text: string, tokens: readonly AnsweredToken[]) => void): Answering => {
    if (body.echo) for (const choice of choices) choice.text = choice.prompt.text;
    const settings = {
      body,
      maxNewTokens: body.max_tokens,
      topScores: body.logprobs,
      echo: body.echo && body.logprobs !== undefined,
      user: call.user,
      name: call.id,
    };
    return startAnswers(served, target, prompts, settings, listenerOf(served, choices, onChange));
  };
  const logprobs = (tokens: readonly AnsweredToken[], offset: number): CompletionLogprobs | null =>
    body.logprobs === undefined ? null : completionLogprobs(served.base.tokenizer, tokens, offset);

  if (body.stream) {
    await stream(call, body, { head, choices, usage, begin, logprobs });
    return undefined;
  }
  const answering = begin(() => {});
  onLeaving(call, answering.cancel);
  await answering.done;
  const shown = choices.map(({ index, text, tokens, finishReason }) => {
    return { index, text, logprobs: logprobs(tokens, 0), finish_reason: finishReason };
  });
  return { body: { ...head, choices: shown, usage: usage() } };
}

interface Streaming {
  readonly head: object;
  readonly choices: readonly Choice[];
  readonly usage: () => object;
  readonly begin: (onChange: (choice: Choice, text: string, tokens: readonly AnsweredToken[]) => void) => Answering;
  readonly logprobs: (tokens: readonly AnsweredToken[], offset: number) => CompletionLogprobs | null;
}

/** Sends each piece as it comes, then the usage if it is wanted. */
async function stream(call: Call, body: CompletionBody, { head, choices, usage, begin, logprobs }: Streaming) {
  const wantsUsage = body.stream_options.include_usage === true;
  const offsets = choices.map(() => 0);
  const answering = begin(({ index, finishReason }, text, tokens) => {
    const offset = offsets[index] ?? 0;
    offsets[index] = offset + tokens.reduce((sum, token) => sum + token.text.length, 0);
    const choice = { index, text, logprobs: logprobs(tokens, offset), finish_reason: finishReason };
    events.send({ ...head, choices: [choice], ...(wantsUsage && { usage: null }) });
  });
  const events = streamOf(call, { onFull: answering.pause, onDrained: answering.resume });
  onLeaving(call, answering.cancel);
  if (body.echo && body.logprobs === undefined)
    for (const { index, prompt } of choices)
      events.send({ ...head, choices: [{ index, text: prompt.text, logprobs: null, finish_reason: null }] });
  await answering.done;
  if (wantsUsage) events.send({ ...head, choices: [], usage: usage() });
  events.done();
}

/** Keeps what came of each choice, and says what is new. */
function listenerOf(
  { base: { tokenizer } }: Served,
  choices: readonly Choice[],
  onChange: (choice: Choice, text: string, tokens: readonly AnsweredToken[]) => void,
): AnswerListener {
  const change = (index: number, text: string, tokens: readonly AnsweredToken[]): void => {
    const choice = choices[index];
    if (!choice) return;
    choice.tokens.push(...tokens);
    onChange(choice, text, tokens);
  };
  return {
    onPrompt(index, scores) {
      const { ids = [], text = "" } = choices[index]?.prompt ?? {};
      const reader = openReading(tokenizer, []);
      const texts = ids.map((id) => reader.push(id));
      change(
        index,
        text,
        ids.map((id, i) => ({ id, text: texts[i] ?? "", scores: i === 0 ? undefined : scores[i - 1] })),
      );
    },
    onPiece(index, { text, tokens }) {
      const choice = choices[index];
      if (!choice) return;
      choice.text += text;
      choice.newTokens += tokens.length;
      change(index, text, tokens);
    },
    onEnd(index, reason) {
      const choice = choices[index];
      if (!choice) return;
      choice.finishReason = finishWord(reason);
      change(index, "", []);
    },
  };
}

/** The prompts of a request as tokens. */
function promptsOf({ base }: Served, { adapter }: Target, body: CompletionBody): EncodedPrompt[] {
  const { tokenizer, textEndIds: endIds } = base;
  const front = body.add_special_tokens ? tokenizer.frontIds(adapter?.format.bos ?? base.format.bos) : [];
  const ofText = (text: string): EncodedPrompt => {
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    const isThere = front.every((id, i) => ids[i] === id);
    return { ids: isThere ? ids : [...front, ...ids], text, endIds };
  };
  const textOf = (ids: readonly number[]): string => {
    const reading = openReading(tokenizer, []);
    return ids.map((id) => reading.push(id)).join("") + reading.end();
  };
  const ofIds = (ids: readonly number[]): EncodedPrompt => {
    return { ids, text: body.echo ? textOf(ids) : "", endIds };
  };
  const { prompt } = body;
  if (typeof prompt === "string") return [ofText(prompt)];
  if (typeof prompt[0] === "number") return [ofIds(prompt as number[])];
  return (prompt as (string | number[])[]).map((one) => (typeof one === "string" ? ofText(one) : ofIds(one)));
}
