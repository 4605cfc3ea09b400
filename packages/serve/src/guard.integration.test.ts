/** Who may ask, and what is no request: hosts, pages, tokens, bodies, headers, paths. */
import { connect } from "node:net";
import { expect, test } from "vitest";
import { ask, post } from "../test/post.ts";
import { raw } from "../test/raw.ts";
import { openServers } from "../test/served.ts";

const servers = await openServers();
const lines: object[] = [];
const server = await servers.start(
  { tokens: [{ name: "me", token: "sesame" }], corsOrigins: ["https://page.example"], maxBody: 5000 },
  { onRequest: (line) => lines.push(line) },
);
const bearer = { authorization: "Bearer sesame" };
const json = { ...bearer, "content-type": "application/json" };
const port = Number(new URL(server.url).port);
const completion = (body: string, headers: Record<string, string> = {}) =>
  ask(server, "/v1/completions", { method: "POST", headers: { ...json, ...headers }, body });

test.each([
  ["a name that is pointed at this machine (DNS rebinding) [S-host]", "evil.example"],
  ["such a name with the port [S-host]", `evil.example:${port}`],
  ["an address that is not listened on [S-host]", "192.168.7.7"],
  ["a name that only begins like ours [S-host]", "localhost.evil.example"],
  ["two names [S-host]", "localhost, evil.example"],
])("%s is refused", async (_, host) => {
  const { status, body } = await raw(port, [
    `GET /v1/models HTTP/1.1`,
    `Host: ${host}`,
    "Authorization: Bearer sesame",
  ]);
  expect(status).toBe(403);
  expect(body).toContain("--allowed-host");
});

test.each([
  ["localhost [S-host]", `localhost:${port}`],
  ["an address of this machine [S-host]", "127.0.0.1"],
  ["the address in IPv6 [S-host]", "[::1]:80"],
  ["capital letters [S-host]", "LOCALHOST"],
])("%s is answered", async (_, host) => {
  const { status } = await raw(port, [`GET /v1/models HTTP/1.1`, `Host: ${host}`, "Authorization: Bearer sesame"]);
  expect(status).toBe(200);
});

test("a page of another origin is refused, unless it is allowed; then the answer names it, never * [S-cors]", async () => {
  const from = (origin: string) => ask(server, "/v1/models", { headers: { ...bearer, origin } });
  expect((await from("https://evil.example")).status).toBe(403);
  expect((await from("null")).status).toBe(403);
  expect((await from(server.url)).status).toBe(200);
  const allowed = await from("https://page.example");
  expect(allowed.status).toBe(200);
  expect(allowed.headers.get("access-control-allow-origin")).toBe("https://page.example");
  expect(allowed.headers.get("vary")).toBe("origin");
  const before = await ask(server, "/v1/chat/completions", {
    method: "OPTIONS",
    headers: { origin: "https://page.example", "access-control-request-method": "POST" },
  });
  expect(before.status).toBe(204);
  expect(before.headers.get("access-control-allow-headers")).toContain("authorization");
  await expect(servers.start({ corsOrigins: ["*"] })).rejects.toThrow("Cannot allow pages of all origins");
});

test.each([
  ["no token [S-token]", {}],
  ["another token [S-token]", { authorization: "Bearer nosesame" }],
  ["the beginning of the token [S-token]", { authorization: "Bearer sesam" }],
  ["the token and more [S-token]", { authorization: "Bearer sesame2" }],
  ["an empty token [S-token]", { authorization: "Bearer " }],
  ["the token in another scheme [S-token]", { authorization: "Basic sesame" }],
])("%s gets 401", async (_, headers) => {
  for (const path of ["/v1/models", "/health", "/metrics", "/openapi.json", "/version", "/nowhere"]) {
    const reply = await ask(server, path, { headers });
    expect(reply.status, path).toBe(401);
    expect(reply.json.error.code).toBe("invalid_api_key");
  }
  expect((await ask(server, "/live", { headers })).status).toBe(200);
});

test("another address than loopback needs a token [S-token]", async () => {
  await expect(servers.start({ host: "0.0.0.0" })).rejects.toThrow(
    "Cannot listen on 0.0.0.0: other machines reach it there, and no token is asked for: give one with --token-file",
  );
});

const bodies: readonly [title: string, status: number, body: string][] = [
  ["no body [S-body]", 400, ""],
  ["a body that is cut off [S-body]", 400, '{"model": "base", "prompt": "a'],
  ["a list [S-body]", 400, "[]"],
  ["null [S-body]", 400, "null"],
  ["the same key twice [S-body]", 400, '{"model": "base", "model": "one", "prompt": "a"}'],
  ["a number that is none [S-body]", 400, '{"model": "base", "prompt": "a", "temperature": NaN}'],
  ["__proto__ as a field [S-body]", 200, '{"model": "base", "prompt": "a", "max_tokens": 1, "__proto__": {"n": 8}}'],
  ["brackets 33 deep [S-body]", 400, `{"model": "base", "prompt": "a", "x": ${"[".repeat(32)}${"]".repeat(32)}}`],
  ["brackets without end [S-body]", 400, "[".repeat(4000)],
  ["brackets inside a text [S-body]", 200, `{"model": "base", "max_tokens": 1, "prompt": "${"[".repeat(60)}"}`],
  ["more bytes than are taken [S-body]", 413, JSON.stringify({ model: "base", prompt: "a".repeat(5000) })],
];

test.each(bodies)("%s gets its status", async (_, status, body) => {
  const reply = await completion(body);
  expect(reply.status).toBe(status);
  expect(reply.json.error?.type).toBe(status === 200 ? undefined : "invalid_request_error");
});

test("a body in another form is refused: by its type, its encoding, its bytes [S-body]", async () => {
  const body = JSON.stringify({ model: "base", prompt: "a", max_tokens: 1 });
  expect((await completion(body, { "content-type": "text/plain" })).status).toBe(415);
  expect((await completion(body, { "content-type": "application/x-www-form-urlencoded" })).status).toBe(415);
  expect((await completion(body, { "content-encoding": "gzip" })).status).toBe(415);
  expect((await completion(body, { "content-type": "application/json; charset=utf-8" })).status).toBe(200);
  const bytes = await ask(server, "/v1/completions", {
    method: "POST",
    headers: json,
    body: new Uint8Array([123, 255, 125]),
  });
  expect(bytes).toMatchObject({ status: 400, json: { error: { message: "Cannot read the body: it is not UTF-8" } } });
});

test("a body without an announced length ends where the limit is [S-body]", async () => {
  const { status } = await raw(
    port,
    ["POST /v1/completions HTTP/1.1", "Host: localhost", "Authorization: Bearer sesame", "Transfer-Encoding: chunked"],
    `1388\r\n${"a".repeat(5000)}\r\n1388\r\n${"a".repeat(5000)}\r\n`,
  );
  expect(status).toBe(413);
});

test.each([
  ["no such route [S-routes]", "GET", "/v2/models", 404],
  ["a route with something behind it [S-routes]", "POST", "/v1/completions/x", 404],
  ["a path that leads out [S-routes]", "GET", "/../../etc/passwd", 404],
  ["a broken escape [S-routes]", "GET", "/v1/models/%E0%A4%A", 404],
  ["a model that is a path [S-routes]", "GET", "/v1/models/..%2F..%2Fetc%2Fpasswd", 404],
  ["another method [S-routes]", "GET", "/v1/completions", 405],
  ["a method that nobody has [S-routes]", "PATCH", "/v1/models", 405],
])("%s has a status of its own", async (_, method, path, status) => {
  const { status: found, body } = await raw(port, [
    `${method} ${path} HTTP/1.1`,
    "Host: localhost",
    "Authorization: Bearer sesame",
  ]);
  expect(found).toBe(status);
  expect(JSON.parse(body).error.message).toMatch(/^Cannot /);
});

test("what is no HTTP, or has too long headers, gets an error in the API's form [S-headers]", async () => {
  expect((await raw(port, ["NONSENSE"])).status).toBe(400);
  const long = await raw(port, ["GET /live HTTP/1.1", "Host: localhost", `X-Long: ${"a".repeat(20_000)}`]);
  expect(long.status).toBe(431);
  expect(JSON.parse(long.body).error.type).toBe("invalid_request_error");
  expect((await raw(port, ["GET /live HTTP/1.1"])).status).toBe(400); // no Host
});

test("a connection that is cut in the middle of anything disturbs nobody", async () => {
  for (const text of ["", "GET", "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"]) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(text);
    await new Promise((resolve) => setTimeout(resolve, 5));
    socket.destroy();
  }
  expect((await ask(server, "/live")).json).toEqual({ status: "ok" });
});

test("a request is reported without its token, its prompt and what it called a route [S-log]", async () => {
  await post(server, "/v1/completions", { model: "secret-model", prompt: "secret words" });
  await ask(server, "/v1/models/secret-model?key=sesame", { headers: bearer });
  await completion(JSON.stringify({ model: "one", prompt: "secret words", max_tokens: 1 }));
  const text = JSON.stringify(lines.map((line) => ({ ...line, error: undefined })));
  expect(lines.length).toBeGreaterThan(20);
  expect(text).not.toMatch(/secret|sesame/);
  expect(lines.at(-1)).toMatchObject({ user: "me", method: "POST", route: "/v1/completions", status: 200 });
});
