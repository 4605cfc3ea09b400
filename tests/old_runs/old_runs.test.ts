/** Runs of every earlier version verify, and go on to the bits that their own version would have reached. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { testFolder } from "../support/cli.ts";
import { zerogateHere } from "../support/here.ts";
import { adapterHash } from "../support/world.ts";
import { type Recipe, recipes, writeInputs } from "./recipes.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const oldVersions = readdirSync(here).filter((name) => /^\d+\.\d+\.\d+$/.test(name));
const cwd = testFolder();

beforeAll(() => writeInputs(cwd));

/** A copy of the fixture, and the flags that say where its base and data lie now. */
function copyOf(version: string, { name, model }: Recipe, copy: string): readonly string[] {
  cpSync(join(here, version, name), join(cwd, copy), { recursive: true });
  return [copy, "--model", model, "--data", "data.json"];
}

/** Node may be another one than the fixture's. */
const accept = ["--accept-change", "zerogate", "--accept-change", "node", "--json"];

test("there are fixtures of an earlier version", () => expect(oldVersions).toContain("0.1.0"));

describe.each(oldVersions)("runs of %s", (version) => {
  const hashes = JSON.parse(readFileSync(join(here, version, "adapters.json"), "utf8")) as Record<string, string>;

  test.each(recipes)("$name verifies and goes on to the same bits", async (recipe) => {
    const flags = copyOf(version, recipe, `${version}-${recipe.name}`);
    const verified = await zerogateHere(["verify", ...flags], { cwd });
    expect(verified.code, verified.stdout + verified.stderr).toBe(0);
    const resumed = await zerogateHere(["resume", ...flags, ...accept], { cwd });
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(adapterHash(join(cwd, `${version}-${recipe.name}`))).toBe(hashes[recipe.name]);
    const again = await zerogateHere(["verify", ...flags], { cwd });
    expect(again.code, again.stdout + again.stderr).toBe(0);
  });

  test("a run is resumed by another version only with consent", async () => {
    const [stopped] = recipes.filter(({ name }) => name === "stopped");
    if (!stopped) throw new Error("there is no recipe named stopped");
    const flags = copyOf(version, stopped, `${version}-refused`);
    const refused = await zerogateHere(["resume", ...flags, "--json"], { cwd });
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("--accept-change zerogate");
  });

  test("a folder that also holds a table, which its version passed over, is other data: the resume is refused by name", async () => {
    const [stopped] = recipes.filter(({ name }) => name === "stopped");
    if (!stopped) throw new Error("there is no recipe named stopped");
    const [copy = ""] = copyOf(version, stopped, `${version}-folder`);
    const folder = join(cwd, `${version}-data`);
    mkdirSync(folder);
    cpSync(join(cwd, "data.json"), join(folder, "data.json"));
    writeFileSync(join(folder, "more.csv"), "instruction,output\nName a day.,Monday\n");
    const flags = [copy, "--model", stopped.model, "--data", folder];
    const refused = await zerogateHere(["resume", ...flags, ...accept], { cwd });
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("--accept-change data");
    rmSync(join(folder, "more.csv"));
    const resumed = await zerogateHere(["resume", ...flags, ...accept], { cwd });
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(adapterHash(join(cwd, copy))).toBe(hashes["stopped"]);
  });

  test("a stored config without a key has the value of the version that wrote it", async () => {
    const [stopped] = recipes.filter(({ name }) => name === "stopped");
    if (!stopped) throw new Error("there is no recipe named stopped");
    const flags = copyOf(version, stopped, `${version}-without`);
    const path = join(cwd, `${version}-without`, "config.json");
    const { model, data, out, valFraction, seed, steps, batchSize, cellTokens, maxLength, adapterLen, ...others } =
      JSON.parse(readFileSync(path, "utf8"));
    const { adapterLayers, saveEvery, engine, samples } = others;
    const chosen = { model, data, out, valFraction, seed, steps, batchSize, cellTokens, maxLength, adapterLen };
    writeFileSync(path, JSON.stringify({ ...chosen, adapterLayers, saveEvery, engine, samples }));
    const resumed = await zerogateHere(["resume", ...flags, ...accept], { cwd });
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(adapterHash(join(cwd, `${version}-without`))).toBe(hashes["stopped"]);
  });
});
