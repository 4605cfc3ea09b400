/** What the installed transformers computes with checkpoints, one process for all of them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { python } from "../support/python.ts";

export interface Theirs {
  readonly logits?: readonly number[];
  readonly unexpected?: readonly string[];
  readonly error?: string;
}

/** Answers in the order of the folders. */
export async function askTransformers(folders: readonly string[], ids: readonly number[]): Promise<Theirs[]> {
  const script = fileURLToPath(new URL("odd_models.py", import.meta.url));
  const env = { ...process.env, HF_HUB_OFFLINE: "1" };
  const child = spawn(python, [script], { env, stdio: ["pipe", "pipe", "inherit"] });
  const answers: Theirs[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => answers.push(JSON.parse(line) as Theirs));
  child.stdin.end(JSON.stringify({ ids, folders }));
  await once(child, "close");
  return answers;
}
