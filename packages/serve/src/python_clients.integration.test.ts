/** Python's openai package against a server. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { post } from "../test/post.ts";
import { openServers } from "../test/served.ts";

const python = process.env["ZEROGATE_PYTHON"] ?? "";
const run = promisify(execFile);
const has = async (module: string) =>
  python !== "" &&
  (await run(python, ["-c", `import ${module}`]).then(
    () => true,
    () => false,
  ));
const absent = (await has("openai")) ? "" : " (skipped: ZEROGATE_PYTHON names no Python with openai)";

const program = `
import json, sys, openai
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="sesame", max_retries=0)
found = {"models": [model.id for model in client.models.list()]}
asked = dict(model="one", messages=[{"role": "user", "content": "Name a colour."}], max_tokens=9, temperature=0.8, seed=5)
found["chat"] = client.chat.completions.create(**asked).choices[0].message.content
pieces = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
chunks = list(pieces)
found["streamed"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
found["usage"] = chunks[-1].usage.completion_tokens
text = client.completions.create(model="two", prompt="Once upon", max_tokens=6, temperature=0, logprobs=2, echo=True)
found["text"] = text.choices[0].text
found["logprobs"] = text.choices[0].logprobs.token_logprobs
for name, call in {
    "missing": lambda: client.completions.create(model="three", prompt="a"),
    "wrong": lambda: client.completions.create(model="one", prompt="a", temperature=-1),
    "refused": lambda: openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="no", max_retries=0).models.list(),
}.items():
    try:
        call()
    except openai.APIStatusError as error:
        found[name] = [type(error).__name__, error.code, error.param]
print(json.dumps(found))
`;

test.skipIf(absent !== "")(`Python's openai reads answers, streams and errors${absent} [S-openai-python]`, async () => {
  const servers = await openServers();
  const server = await servers.start({ tokens: [{ name: "me", token: "sesame" }] });
  const { stdout } = await run(python, ["-c", program, server.url]);
  const found = JSON.parse(stdout);
  const open = await servers.start();
  const messages = [{ role: "user", content: "Name a colour." }];
  const chat = await post(open, "/v1/chat/completions", {
    model: "one",
    messages,
    max_tokens: 9,
    temperature: 0.8,
    seed: 5,
  });
  const { content } = chat.json.choices[0].message;
  const body = { model: "two", prompt: "Once upon", max_tokens: 6, temperature: 0, logprobs: 2, echo: true };
  const text = (await post(open, "/v1/completions", body)).json.choices[0];
  expect(found).toEqual({
    models: ["base", "one", "two"],
    chat: content,
    streamed: content,
    usage: chat.json.usage.completion_tokens,
    text: text.text,
    logprobs: text.logprobs.token_logprobs,
    missing: ["NotFoundError", "model_not_found", "model"],
    wrong: ["BadRequestError", null, "temperature"],
    refused: ["AuthenticationError", "invalid_api_key", null],
  });
});
