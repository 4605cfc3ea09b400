import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { hubCacheFolder, hubEndpoint, hubToken, isOffline } from "./hub_settings.ts";

const folder = mkdtempSync(join(tmpdir(), "zerogate-hub-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  [{ HF_HUB_CACHE: "/a", HF_HOME: "/b", XDG_CACHE_HOME: "/c" }, "/a"],
  [{ HUGGINGFACE_HUB_CACHE: "/a", HF_HOME: "/b" }, "/a"],
  [{ HF_HOME: "/b", XDG_CACHE_HOME: "/c" }, "/b/hub"],
  [{ XDG_CACHE_HOME: "/c" }, "/c/huggingface/hub"],
  [{ HF_HUB_CACHE: "", HF_HOME: "", XDG_CACHE_HOME: "relative" }, join(homedir(), ".cache/huggingface/hub")],
  [{ HF_HOME: "~/hf" }, join(homedir(), "hf/hub")],
  [{ HF_HOME: "$SCRATCH/${USER}/hf", SCRATCH: "/scratch", USER: "me" }, "/scratch/me/hf/hub"],
])("with %j the cache is %s, as in Python [M-hub-cache]", (env, expected) => {
  expect(hubCacheFolder(env)).toBe(expected);
});

test("the token is HF_TOKEN's, or the one that hf auth login wrote [M-hub-download]", () => {
  writeFileSync(join(folder, "token"), "hf_file\n");
  expect(hubToken({ HF_HOME: folder, HF_TOKEN: " hf_mine\r\n" })).toBe("hf_mine");
  expect(hubToken({ HF_HOME: folder })).toBe("hf_file");
  expect(hubToken({ HF_HOME: folder, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" })).toBe(undefined);
  expect(hubToken({ HF_TOKEN_PATH: join(folder, "token"), HF_HOME: "/nowhere" })).toBe("hf_file");
  expect(hubToken({ HF_HOME: join(folder, "none") })).toBe(undefined);
});

test("a token that no header takes is refused and not shown [M-hub-refusals]", () => {
  const message = "Cannot use the token in HF_TOKEN: it holds characters that no token has: copy it again";
  for (const token of ["hf_a b", "hf_é", "hf_\u0000x"]) {
    expect(() => hubToken({ HF_TOKEN: token })).toThrow(message);
    expect(message).not.toContain(token);
  }
  writeFileSync(join(folder, "long"), "x".repeat(10_001));
  expect(() => hubToken({ HF_TOKEN_PATH: join(folder, "long") })).toThrow(
    "it has 10001 bytes, at most 10000 are allowed",
  );
  expect(() => hubToken({ HF_TOKEN_PATH: folder })).toThrow("needed is a regular file");
});

test("HF_ENDPOINT is an address, and HF_HUB_OFFLINE a yes in Python's words [M-hub-refusals]", () => {
  expect(hubEndpoint({})).toBe("https://huggingface.co");
  expect(hubEndpoint({ HF_ENDPOINT: "http://mirror:8080/hf//" })).toBe("http://mirror:8080/hf");
  const refused = {
    "mirror.com": "it is no address",
    "ftp://a": "it begins with ftp:",
    "https://u:p@a": "it holds a name or password",
  };
  for (const [address, problem] of Object.entries(refused)) {
    expect(() => hubEndpoint({ HF_ENDPOINT: address })).toThrow(`Cannot use HF_ENDPOINT: ${problem}`);
  }
  for (const yes of ["1", "true", "YES", "on"]) expect(isOffline({ HF_HUB_OFFLINE: yes })).toBe(true);
  for (const no of ["0", "false", "", undefined]) expect(isOffline({ HF_HUB_OFFLINE: no })).toBe(false);
});
