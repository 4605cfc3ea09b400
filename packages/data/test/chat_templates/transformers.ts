/** Asks transformers what it writes of conversations. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { python } from "../../../../tests/support/python.ts";
import type { Conversation } from "./conversations.ts";

/** A chat as transformers writes it: null for what it refuses. */
export interface Written {
  readonly text: string | null;
  /** Up to each turn of the assistant, with the beginning of an answer. */
  readonly fronts: readonly (string | null)[];
  /** What the mask has, under a template with `{% generation %}`. */
  readonly trained?: readonly string[];
}

export interface AskedTemplate {
  readonly chat: string;
  readonly tokens: Readonly<Record<string, string>>;
}

/** What each template writes of each chat. */
export function askTransformers(templates: readonly AskedTemplate[], chats: readonly Conversation[]): Written[][] {
  const folder = mkdtempSync(join(tmpdir(), "zerogate-templates-"));
  try {
    const [asked, found] = [join(folder, "asked.json"), join(folder, "found.json")];
    writeFileSync(asked, JSON.stringify({ templates, chats }));
    const script = fileURLToPath(new URL("render.py", import.meta.url));
    const env = { ...process.env, HF_HUB_OFFLINE: "1" };
    execFileSync(python, [script, asked, found], { stdio: "pipe", env, maxBuffer: 2 ** 28 });
    return JSON.parse(readFileSync(found, "utf8")) as Written[][];
  } finally {
    rmSync(folder, { recursive: true });
  }
}
