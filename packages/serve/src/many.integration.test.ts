/** Many adapters on one base. */
import { expect, test } from "vitest";
import { ask, post } from "../test/post.ts";
import { openServers } from "../test/served.ts";

const servers = await openServers();

test("a thousand adapters are registered without making their prompts, and each answers as itself [S-many]", async () => {
  const { at } = servers.place;
  const adapters = Array.from({ length: 1000 }, (_, i) => `${at(i % 2 === 0 ? "one" : "two")}=a${i}`);
  const server = await servers.start({ adapters, keptPrompts: 3 });
  const { data } = (await ask(server, "/v1/models")).json;
  expect(data).toHaveLength(1001);
  const complete = async (model: string): Promise<string> =>
    (await post(server, "/v1/completions", { model, prompt: "Once upon a time", max_tokens: 6, temperature: 0 })).json
      .choices[0].text;
  const [one, two] = [await complete("a0"), await complete("a1")];
  expect(one).not.toBe(two);
  for (const i of [998, 999, 2, 3, 500, 501, 0, 1]) expect(await complete(`a${i}`)).toBe(i % 2 === 0 ? one : two);
  expect((await post(server, "/v1/completions", { model: "a1000", prompt: "a" })).json.error.message).toContain(
    "981 more",
  );
});
