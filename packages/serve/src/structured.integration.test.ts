/** `response_format`: answers of a model of random weights are JSON of the schema, streamed or whole, alone or beside others. */
import OpenAI, { BadRequestError } from "openai";
import { expect, test } from "vitest";
import { openServers } from "../test/served.ts";

const servers = await openServers();
const { url } = await servers.start({ workers: 2 });
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });

const schema = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 12 },
    kind: { enum: ["cat", "dog"] },
    lives: { type: "integer", minimum: 1, maximum: 9 },
    friends: { type: "array", items: { type: "string", maxLength: 4 }, maxItems: 2 },
  },
  required: ["name", "kind", "lives"],
  additionalProperties: false,
};
const asked = (model: string, seed: number, given: object = schema) => ({
  model,
  messages: [{ role: "user" as const, content: "Describe a pet." }],
  temperature: 1,
  seed,
  max_tokens: 90,
  response_format: {
    type: "json_schema" as const,
    json_schema: { name: "pet", schema: given as Record<string, unknown> },
  },
});

function expectPet(text: string): void {
  const pet = JSON.parse(text) as { name: string; kind: string; lives: number; friends?: string[] };
  expect(Object.keys(pet).filter((key) => !Object.hasOwn(schema.properties, key))).toEqual([]);
  expect(Array.from(pet.name).length).toBeLessThanOrEqual(12);
  expect(["cat", "dog"]).toContain(pet.kind);
  expect(Number.isInteger(pet.lives) && pet.lives >= 1 && pet.lives <= 9).toBe(true);
  expect((pet.friends ?? []).length).toBeLessThanOrEqual(2);
}

test("answers follow the schema, and are the same alone, beside others and streamed [S-response_format]", async () => {
  const models = ["base", "one", "two"];
  const alone = await client.chat.completions.create(asked("one", 1));
  const together = await Promise.all(
    Array.from({ length: 9 }, (_, i) => client.chat.completions.create(asked(models[i % 3] ?? "base", i))),
  );
  for (const { choices } of together) {
    expectPet(choices[0]?.message.content ?? "");
    expect(choices[0]?.finish_reason).toBe("stop");
  }
  expect(together[1]?.choices[0]?.message.content).toBe(alone.choices[0]?.message.content);
  const parts: string[] = [];
  for await (const chunk of await client.chat.completions.create({ ...asked("one", 1), stream: true })) {
    parts.push(chunk.choices[0]?.delta.content ?? "");
  }
  expect(parts.length).toBeGreaterThan(3);
  expect(parts.join("")).toBe(alone.choices[0]?.message.content);
});

test("json_object is any object, whole within max_tokens [S-response_format]", async () => {
  for (let seed = 0; seed < 6; seed++) {
    const { choices } = await client.chat.completions.create({
      ...asked("two", seed),
      max_tokens: 12 + seed,
      response_format: { type: "json_object" },
    });
    const value: unknown = JSON.parse(choices[0]?.message.content ?? "");
    expect(value).toBeTypeOf("object");
  }
});

test("schemas that cannot be followed are refused by name, also those that need more tokens [S-response_format]", async () => {
  const refused = client.chat.completions.create(asked("base", 1, { type: "string", format: "date" }));
  await expect(refused).rejects.toThrow(BadRequestError);
  await expect(refused).rejects.toMatchObject({ param: "response_format" });
  await expect(refused).rejects.toThrow("# has format, which cannot be followed here for string");
  const short = client.chat.completions.create({ ...asked("base", 1), max_tokens: 5 });
  await expect(short).rejects.toMatchObject({ status: 400, param: "max_tokens" });
  await expect(short).rejects.toThrow("allow more with max_tokens");
  const unknown = { ...asked("base", 1), response_format: { type: "grammar" as "text" } };
  await expect(client.chat.completions.create(unknown)).rejects.toThrow(
    'its type is "grammar", use text, json_object or json_schema',
  );
});
