/** `POST /v1/chat/completions`: the next message of a chat. */
import { badRequest } from "../http/api_error.ts";
import { type AnsweredToken, type AnswerListener, type AnswerSettings, type Prompt, startAnswers } from "./answer.ts";
import { bodyOf, type Call, onLeaving, type Reply, streamOf } from "./call.ts";
import { chatPrompt } from "./chat_prompt.ts";
import { type ChatLogprob, chatLogprob } from "./logprobs.ts";
import { answerSchema } from "./response_format.ts";
import { type Served, type Target, targetOf } from "./served.ts";
import { type ChatBody, chatShape } from "./shapes.ts";
import { finishWord, secondsNow, usageOf } from "./usage.ts";

/** One message of the answer so far. */
interface Choice {
  readonly index: number;
  text: string;
  readonly logprobs: ChatLogprob[];
  newTokens: number;
  finishReason: "stop" | "length" | null;
}

/** A chat that is being answered. */
interface Chat {
  readonly served: Served;
  readonly call: Call;
  readonly body: ChatBody;
  readonly target: Target;
  readonly prompt: Prompt;
  readonly settings: AnswerSettings;
}

/** Answers with JSON, or as a stream of events. */
export async function chatCompletions(served: Served, call: Call): Promise<Reply | undefined> {
  const body = bodyOf(call, chatShape);
  const target = targetOf(served, body.model);
  call.onModel(target.name);
  checkBody(body);
  const prompt = await chatPrompt(served, target, body.messages);
  const settings = {
    body,
    maxNewTokens: body.max_completion_tokens ?? body.max_tokens,
    topScores: body.logprobs ? (body.top_logprobs ?? 0) : undefined,
    echo: false,
    schema: answerSchema(body.response_format, served.base.trie),
    user: call.user,
    name: call.id,
  };
  const chat: Chat = { served, call, body, target, prompt, settings };
  if (!body.stream) return await answerWhole(chat);
  await stream(chat);
  return undefined;
}

function checkBody({ logprobs, top_logprobs }: ChatBody): void {
  if (top_logprobs !== undefined && !logprobs)
    throw badRequest("Cannot use top_logprobs: logprobs is not true", "top_logprobs");
}

const headOf = ({ call, target }: Chat, object: string) => {
  return { id: `chatcmpl-${call.id}`, object, created: secondsNow(), model: target.name };
};

async function answerWhole(chat: Chat): Promise<Reply> {
  const { served, call, body, target, prompt, settings } = chat;
  const choices = emptyChoices(body.n);
  const answering = startAnswers(
    served,
    target,
    [prompt],
    settings,
    listenerOf(chat, choices, () => {}),
  );
  onLeaving(call, answering.cancel);
  await answering.done;
  const shown = choices.map(({ index, text, logprobs, finishReason }) => {
    return {
      index,
      message: { role: "assistant", content: text, refusal: null },
      logprobs: body.logprobs ? { content: logprobs, refusal: null } : null,
      finish_reason: finishReason,
    };
  });
  return { body: { ...headOf(chat, "chat.completion"), choices: shown, usage: usage(prompt, choices) } };
}

/** Sends the role, then each piece as it comes, then why it ended, then the usage if it is wanted. */
async function stream(chat: Chat): Promise<void> {
  const { served, call, body, target, prompt, settings } = chat;
  const head = headOf(chat, "chat.completion.chunk");
  const wantsUsage = body.stream_options.include_usage === true;
  const choices = emptyChoices(body.n);
  const begun = new Set<number>();
  const send = (index: number, delta: object, more: object): void => {
    const choice = { index, delta, logprobs: null, finish_reason: null, ...more };
    events.send({ ...head, choices: [choice], ...(wantsUsage && { usage: null }) });
  };
  const listener = listenerOf(chat, choices, ({ index, finishReason }, text, logprobs) => {
    if (!begun.has(index)) send(index, { role: "assistant", content: "" }, {});
    begun.add(index);
    const scored = logprobs.length > 0 ? { logprobs: { content: logprobs, refusal: null } } : {};
    if (finishReason !== null) send(index, {}, { ...scored, finish_reason: finishReason });
    else if (text !== "" || logprobs.length > 0) send(index, { content: text }, scored);
  });
  const answering = startAnswers(served, target, [prompt], settings, listener);
  const events = streamOf(call, { onFull: answering.pause, onDrained: answering.resume });
  onLeaving(call, answering.cancel);
  await answering.done;
  if (wantsUsage) events.send({ ...head, choices: [], usage: usage(prompt, choices) });
  events.done();
}

const emptyChoices = (n: number): Choice[] =>
  Array.from({ length: n }, (_, index) => ({ index, text: "", logprobs: [], newTokens: 0, finishReason: null }));

const usage = ({ ids }: Prompt, choices: readonly Choice[]) =>
  usageOf(
    ids.length,
    choices.reduce((sum, { newTokens }) => sum + newTokens, 0),
  );

/** Keeps what came of each choice, and says what is new. */
function listenerOf(
  { served, body }: Chat,
  choices: readonly Choice[],
  onChange: (choice: Choice, text: string, logprobs: readonly ChatLogprob[]) => void,
): AnswerListener {
  const { tokenizer } = served.base;
  const scored = (tokens: readonly AnsweredToken[]): ChatLogprob[] =>
    tokens.flatMap((token) => chatLogprob(tokenizer, token, body.top_logprobs ?? 0) ?? []);
  return {
    onPrompt() {},
    onPiece(index, { text, tokens }) {
      const choice = choices[index];
      if (!choice) return;
      const logprobs = scored(tokens);
      choice.text += text;
      choice.newTokens += tokens.length;
      choice.logprobs.push(...logprobs);
      onChange(choice, text, logprobs);
    },
    onEnd(index, reason) {
      const choice = choices[index];
      if (!choice) return;
      choice.finishReason = finishWord(reason);
      onChange(choice, "", []);
    },
  };
}
