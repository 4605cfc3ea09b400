import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { openEventStream } from "./event_stream.ts";

test("a reader that does not read stops its text, and lets it go on once it reads again [S-slow]", async () => {
  const said: string[] = [];
  const chunk = { text: "a".repeat(65_536) };
  const server = createServer((_, response) => {
    const onDrained = () => {
      said.push("drained");
      stream.done();
    };
    const stream = openEventStream(response, {}, { onFull: () => said.push("full"), onDrained });
    for (let i = 0; i < 512; i++) stream.send(chunk); // 32 MiB: more than the system holds between the two
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const response = await new Promise<IncomingMessage>((resolve) => {
    get({ port, host: "127.0.0.1" }, resolve);
  });
  await expect.poll(() => said, { timeout: 600_000 }).toEqual(["full"]);
  let text = "";
  for await (const bytes of response) text += String(bytes);
  expect(said).toEqual(["full", "drained"]);
  expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  const events = text.split("\n\n").filter((event) => event.startsWith("data: {"));
  for (const event of events) expect(JSON.parse(event.slice(6))).toEqual(chunk);
});
