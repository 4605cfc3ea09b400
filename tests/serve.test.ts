/** `zerogate serve` as people start it: curl asks, SIGTERM ends it. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { testFolder, zerogate } from "./support/cli.ts";
import { zerogateHere } from "./support/here.ts";
import { base } from "./support/world.ts";

const cwd = testFolder();
writeFileSync(join(cwd, "tokens.txt"), "# who may ask\nme sesame\nopen-sesame\n");

/** Starts the command, lets `use` ask it, and ends it with a signal. */
async function served(args: readonly string[], use: (url: string) => Promise<void>, env: Record<string, string> = {}) {
  const failed: unknown[] = [];
  const outcome = await zerogate(["serve", "--model", base, "--port", "0", ...args], {
    cwd,
    env,
    onLine(line, send) {
      const [, url] = / at (http:\S+)$/.exec(line) ?? [];
      if (url === undefined) return;
      void use(url)
        .catch((error: unknown) => failed.push(error))
        .finally(() => send("SIGTERM"));
    },
  });
  expect(failed).toEqual([]);
  return outcome;
}

const curl = async (...args: string[]): Promise<string> => (await promisify(execFile)("curl", ["-sS", ...args])).stdout;

test("curl gets an answer, whole and streamed, and SIGTERM ends the command with 0 [S-command, S-drain]", async () => {
  const { code, stderr, stdout } = await served(["--name", "tiny", "--token-file", "tokens.txt"], async (url) => {
    const ask = (body: object, token = "sesame") =>
      curl(
        `${url}/v1/completions`,
        "-H",
        "content-type: application/json",
        "-H",
        `authorization: Bearer ${token}`,
        "-d",
        JSON.stringify({ model: "tiny", prompt: "Once upon a time", max_tokens: 8, temperature: 0, ...body }),
      );
    const whole = JSON.parse(await ask({}));
    expect(whole).toMatchObject({ object: "text_completion", model: "tiny", usage: { completion_tokens: 8 } });
    const streamed = await ask({ stream: true });
    const pieces = streamed.split("\n\n").filter((event) => event.startsWith("data: {"));
    const text = pieces.map((event) => JSON.parse(event.slice(6)).choices[0].text).join("");
    expect(text).toBe(whole.choices[0].text);
    expect(streamed.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(JSON.parse(await ask({}, "open-sesame")).model).toBe("tiny");
    expect(JSON.parse(await ask({}, "nobody")).error.code).toBe("invalid_api_key");
    expect(await curl(`${url}/live`)).toBe('{"status":"ok"}');
  });
  expect([code, stdout]).toEqual([0, ""]);
  expect(stderr).toContain("Serving tiny at http://127.0.0.1:");
  expect(stderr).toContain("Ending once what is being answered is answered.");
  expect(stderr).toMatch(/route=\/v1\/completions.*status=200|status=200.*route=\/v1\/completions/);
  expect(stderr).not.toMatch(/sesame|Once upon/); // neither tokens nor prompts
});

test("the token of the environment is one more [S-token]", async () => {
  await served(
    [],
    async (url) => {
      expect(JSON.parse(await curl(`${url}/health`)).error.code).toBe("invalid_api_key");
      expect(JSON.parse(await curl(`${url}/health`, "-H", "authorization: Bearer hush")).status).toBe("ok");
    },
    { ZEROGATE_TOKEN: "hush" },
  );
});

test.each([
  ["a port that is none [S-command]", ["--port", "70000"], '--port is "70000", expected a whole number'],
  ["no workers [S-command]", ["--workers", "0"], '--workers is "0", expected a whole number of at least 1'],
  [
    "another address without a token [S-command]",
    ["--host", "0.0.0.0"],
    "give one with --token-file or ZEROGATE_TOKEN",
  ],
  ["a file of tokens that is not there [S-command]", ["--token-file", "none"], "Cannot read the tokens of none"],
  ["pages of all origins [S-command]", ["--cors-origin", "*"], "Cannot allow pages of all origins"],
  ["an adapter that is not there [S-command]", ["--adapter", "none"], "Cannot use the adapter none"],
])("%s is refused before anything is loaded", async (_, args, message) => {
  const { code, stderr } = await zerogateHere(["serve", "--model", base, ...args], { cwd });
  expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
});
