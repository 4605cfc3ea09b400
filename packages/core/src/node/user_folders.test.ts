import { expect, test } from "vitest";
import { cacheFolder, homeFolder } from "./user_folders.ts";

const nobody = () => {
  throw new Error("A system error occurred: uv_os_homedir returned ENOENT (no such file or directory)");
};

test("the cache lies in the user's home, or where XDG_CACHE_HOME says", () => {
  expect(cacheFolder({}, () => "/home/ada")).toBe("/home/ada/.cache/zerogate");
  expect(cacheFolder({ XDG_CACHE_HOME: "" }, () => "/home/ada")).toBe("/home/ada/.cache/zerogate");
  expect(cacheFolder({ XDG_CACHE_HOME: "/scratch/ada" }, nobody)).toBe("/scratch/ada/zerogate");
});

test("a cache folder that would depend on the working directory is not taken", () => {
  expect(cacheFolder({ XDG_CACHE_HOME: "cache" }, () => "/home/ada")).toBe("/home/ada/.cache/zerogate");
  expect(homeFolder(() => "")).toBeUndefined();
  expect(homeFolder(() => ".")).toBeUndefined();
});

test("a user id without a home has no cache folder [T-B8]", () => {
  expect(homeFolder(nobody)).toBeUndefined();
  expect(cacheFolder({}, nobody)).toBeUndefined();
  expect(cacheFolder({}, () => "")).toBeUndefined();
});
