/** Hostile requests in large numbers, and clients that are slow on purpose. */
import { connect } from "node:net";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { attack, hostileBodies } from "../test/attack.ts";
import { ask } from "../test/post.ts";
import { openServers } from "../test/served.ts";

const servers = await openServers();
/** `ZEROGATE_FUZZ` requests; a hundred thousand were made once. */
const RUNS = Number(process.env["ZEROGATE_FUZZ"] ?? 4000);

test("thousands of random requests: no crash, no hang, no answer without a type [S-fuzz]", async () => {
  const server = await servers.start({ maxBody: 20_000 });
  const property = fc.asyncProperty(fc.array(hostileBodies, { minLength: 16, maxLength: 16 }), async (some) => {
    await Promise.all(some.map((one) => attack(server, one)));
  });
  await fc.assert(property, { numRuns: Math.ceil(RUNS / 16) });
  expect((await ask(server, "/health")).json).toMatchObject({ status: "ok", running: 0, waiting: 0 });
});

test("clients that send a byte now and then are ended, and hold nobody up [S-slow]", async () => {
  const server = await servers.start();
  const port = Number(new URL(server.url).port);
  const slow = Array.from({ length: 40 }, async () => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n");
    const drip = setInterval(() => socket.write("x"), 200);
    let said = "";
    socket.on("data", (bytes: Buffer) => {
      said += bytes.toString();
    });
    await new Promise((resolve) => socket.once("close", resolve));
    clearInterval(drip);
    return said;
  });
  const began = performance.now();
  expect((await ask(server, "/v1/models")).status).toBe(200);
  for (const said of await Promise.all(slow)) expect(said).toMatch(/^HTTP\/1\.1 408 /);
  expect(performance.now() - began).toBeGreaterThan(5000); // they had their time
});
