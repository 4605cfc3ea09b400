import { afterEach, expect, test } from "vitest";
import { ownCommand, ownName, setOwnName } from "./own_command.ts";

afterEach(() => setOwnName({}));

test.each([
  { how: "installed", env: {}, script: "/usr/local/bin/zerogate", name: "zerogate" },
  {
    how: "installed, in a terminal that an npm script opened",
    env: { npm_command: "run" },
    script: "/usr/bin/zerogate",
    name: "zerogate",
  },
  {
    how: "npx, from its cache",
    env: { npm_command: "exec" },
    script: "/home/a/.npm/_npx/1f/node_modules/.bin/zerogate",
    name: "npx zerogate",
  },
  { how: "npx of npm 6", env: { npm_execpath: "npx-cli.js" }, script: "/tmp/bin.js", name: "npx zerogate" },
  {
    how: "a script of package.json",
    env: { npm_command: "run" },
    script: "/a/node_modules/.bin/zerogate",
    name: "npx zerogate",
  },
  { how: "by its path in a project", env: {}, script: "/a/node_modules/.bin/zerogate", name: "npx zerogate" },
  {
    how: "by its path in a project on Windows",
    env: {},
    script: String.raw`C:\a\node_modules\@zerogate\trainer\bin\zerogate.js`,
    name: "npx zerogate",
  },
  { how: "built from source", env: {}, script: "/a/packages/zerogate/dist/bin.js", name: "zerogate" },
])("$how: lines begin with $name [T-D4]", ({ env, script, name }) => {
  expect(ownName(env, script)).toBe(name);
});

test("a line holds its values as a shell takes them [T-D4]", () => {
  expect(ownCommand`resume ${"/a/run-1"} --workers 2`).toBe("zerogate resume /a/run-1 --workers 2");
  setOwnName({ npm_command: "exec" }, "/x/bin.js");
  expect(ownCommand`chat --model ${"my base"} --adapter ${"it's"}`).toBe(
    String.raw`npx zerogate chat --model 'my base' --adapter 'it'\''s'`,
  );
  expect(ownCommand`train`).toBe("npx zerogate train");
});
