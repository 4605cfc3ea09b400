/** `zerogate eval --task`: benchmarks, answered by a base and adapters side by side. */
import { join } from "node:path";
import { InputError } from "@zerogate/core";
import { baseHash, cachedBaseHash, cacheFolder, writeFileAtomic } from "@zerogate/core/node";
import { type AnyLoadedTask, loadTask } from "@zerogate/data";
import { paramsDigest } from "@zerogate/run-files";
import { answerTask, summarize } from "@zerogate/trainer/command";
import { openStatus, type StatusDisplay } from "../status/display.ts";
import { type CommandContext, type ExitCode, printJson } from "./context.ts";
import { disagreementPage } from "./eval_disagreements.ts";
import { openTaskFolder, type TaskFolder, type TaskIdentity } from "./eval_task_folder.ts";
import { BASE, openTaskModels, startTaskDevices, type TaskModelFlags, type TaskModels } from "./eval_task_models.ts";
import { describeTasks, type ShownTask } from "./eval_task_text.ts";
import { engineFlags, numberFlag } from "./flags.ts";
import { fetchMissing } from "./hub_names.ts";

/** Flags of tasks. */
export interface TaskFlags extends TaskModelFlags {
  readonly task: readonly string[];
  readonly limit?: string;
  readonly shots?: string;
  readonly shotsFrom?: string;
  readonly shotsSeed?: string;
  readonly out?: string;
  readonly skipBadRecords?: boolean;
  readonly download?: boolean;
  readonly json?: boolean;
}

const MAX_LIMIT = 1e9;
const MAX_SHOTS = 1000;
const MAX_SEED = 0xffff_ffff;

export async function evalTasksCommand(flags: TaskFlags, workers: number, context: CommandContext): Promise<ExitCode> {
  const status = openStatus(context.stderr, context.env);
  try {
    await fetchMissing([flags.model, ...(flags.adapter ?? [])], flags.download, context);
    const tasks = await openTasks(flags);
    const models = await openTaskModels(flags, workers, status);
    const folder = await openTaskFolder(flags.out, () => identityOf(flags, models, tasks, context), status.log);
    const shown = await answerTasks(models, tasks, folder, status, context);
    status.stop();
    if (flags.json) printJson(context, { tasks: shown });
    else context.stdout.write(describeTasks(shown));
    return 0;
  } finally {
    status.stop();
  }
}

/** The tasks as the flags ask for them, all of them read before a model is. */
async function openTasks(flags: TaskFlags): Promise<AnyLoadedTask[]> {
  const problems: string[] = [];
  const whole = (name: string, text: string | undefined, min: number, max: number) =>
    text === undefined ? undefined : numberFlag(name, text, min, { min, max, whole: true }, problems);
  const request = {
    limit: whole("--limit", flags.limit, 1, MAX_LIMIT),
    shots: whole("--shots", flags.shots, 0, MAX_SHOTS),
    shotsSeed: whole("--shots-seed", flags.shotsSeed, 0, MAX_SEED),
    shotsFrom: flags.shotsFrom,
    skipBad: flags.skipBadRecords,
  };
  if (problems.length > 0) throw new InputError("Cannot evaluate", problems);
  const tasks: AnyLoadedTask[] = [];
  for (const task of flags.task) {
    const loaded = await loadTask({ ...request, task });
    if (tasks.some((other) => other.task.name === loaded.task.name)) {
      throw new InputError("Cannot evaluate", `${task} is the task ${loaded.task.name} a second time: name each once`);
    }
    tasks.push(loaded);
  }
  return tasks;
}

/** What decides the answers: a folder of them is gone on with only if it is the same. */
async function identityOf(
  flags: TaskFlags,
  { base, adapters }: TaskModels,
  tasks: readonly AnyLoadedTask[],
  { env }: CommandContext,
): Promise<TaskIdentity> {
  const cache = cacheFolder(env);
  const asked = tasks.map(({ task, files, shots, shotsSeed }) => {
    return [task.name, { files: files.map(({ sha256 }) => sha256), shots, ...(shots > 0 && { shotsSeed }) }] as const;
  });
  return {
    base: cache === undefined ? await baseHash(base.folder) : await cachedBaseHash(base.folder, cache),
    tokenizer: base.tokenizer.hash,
    compute: base.compute,
    storage: engineFlags(flags).storage,
    adapters: Object.fromEntries(adapters.map(({ name, loaded }) => [name, paramsDigest(loaded.params)])),
    tasks: Object.fromEntries(asked),
  };
}

async function answerTasks(
  models: TaskModels,
  tasks: readonly AnyLoadedTask[],
  folder: TaskFolder,
  status: StatusDisplay,
  context: CommandContext,
): Promise<ShownTask[]> {
  const names = [BASE, ...models.adapters.map(({ name }) => name)];
  try {
    const isOpen = tasks.some(({ task, questions }) => questions.some(({ doc }) => !folder.has(task.name, doc)));
    if (isOpen) await answerOpen(models, tasks, folder, status, context);
  } finally {
    folder.close();
  }
  const answered = tasks.map((loaded) => {
    const asked = new Set(loaded.questions.map(({ doc }) => doc));
    return { loaded, items: folder.itemsOf(loaded.task.name).filter(({ doc }) => asked.has(doc)) };
  });
  const shown = answered.map(({ loaded: { task, shots, skipped }, items }) => {
    return { ...summarize(task, items, names), shots, skipped };
  });
  if (folder.path !== undefined) {
    await writeFileAtomic(join(folder.path, "results.json"), `${JSON.stringify({ tasks: shown }, undefined, 2)}\n`);
    await writeFileAtomic(join(folder.path, "disagreements.html"), disagreementPage(answered, names));
  }
  return shown;
}

/** Asks what the folder has no answer to. */
async function answerOpen(
  models: TaskModels,
  tasks: readonly AnyLoadedTask[],
  folder: TaskFolder,
  status: StatusDisplay,
  context: CommandContext,
): Promise<void> {
  const { signal } = context;
  const { tokenizer, model } = models.base;
  const pool = await startTaskDevices(models, status, context);
  const stop = () => void pool.close();
  const adapted = models.adapters.map(({ name }) => ({ name, adapter: { job: name, version: 0 } }));
  const answering = {
    pool,
    tokenizer,
    contextLength: model.contextLength,
    models: [{ name: BASE, adapter: undefined }, ...adapted],
    eosTokenIds: [...new Set([...model.eosTokenIds, tokenizer.eosId])],
    signal,
  };
  try {
    signal.throwIfAborted();
    signal.addEventListener("abort", stop, { once: true });
    for (const loaded of tasks) {
      const { task, questions } = loaded;
      let done = questions.filter(({ doc }) => folder.has(task.name, doc)).length;
      const show = () => status.phase({ name: `answering ${task.name}`, done, total: questions.length });
      show();
      for await (const item of answerTask(answering, loaded, (doc) => !folder.has(task.name, doc))) {
        folder.add(item);
        done++;
        show();
      }
    }
  } catch (error) {
    signal.throwIfAborted(); // the closed pool's own complaint says nothing to anybody
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
    await pool.close();
    status.phase(undefined);
  }
}
