/** The files of a run and of the cache that hold one text: configs, manifest, locks, report. */
import { hostname } from "node:os";
import { dirname } from "node:path";
import { readPromptFormat, readRegularFile, verifyDirectory } from "@zerogate/core/node";
import { FIRST_VERSION, resolveConfig, VERSION_KEY } from "@zerogate/run-config";
import { processStart, readRecord } from "@zerogate/run-files";
import { readAccepted } from "@zerogate/trainer/command";
import { hasKeys, type JsonObject, type KnownFile } from "./known_file.ts";

const lockName = /^\.?lock-[1-9]\d{0,14}(?:\.free|\..*\.tmp)?$/;

/** Whether an object is the config of a run: that of a model says `model_type`. */
export function isRunConfig(object: JsonObject | undefined): boolean {
  return hasKeys(object, "model", "data", "out") && !hasKeys(object, "model_type");
}

export const ownTexts: readonly KnownFile[] = [
  {
    kind: "run-config",
    isJson: true,
    what: "the config of a run, complete: every default is in it",
    is: ({ name, object }) => name === "config.json" && isRunConfig(object),
    read: ({ path, object = {} }) => {
      const { [VERSION_KEY]: version = FIRST_VERSION } = object;
      const config = resolveConfig({ file: path, isStored: true });
      return { zerogate: version, ...config };
    },
  },
  {
    kind: "manifest",
    isJson: true,
    what: "the manifest of a checkpoint: size and SHA-256 of every file in its folder",
    is: ({ name, object }) =>
      name === "manifest.json" || (hasKeys(object, "version", "files") && Array.isArray(object?.["files"])),
    read: async ({ path, name, object }) => {
      const files = Array.isArray(object?.["files"]) ? (object["files"] as JsonObject[]) : [];
      const problems = name === "manifest.json" ? await verifyDirectory(dirname(path)) : [];
      return { version: object?.["version"], files, isFolderWhole: problems.length === 0, problems };
    },
  },
  {
    kind: "accepted-changes",
    isJson: true,
    what: "changes that decide the trained numbers and were accepted on a resume",
    is: ({ name }) => name === "accepted.json",
    read: async ({ path }) => ({ changes: await readAccepted(dirname(path)) }),
  },
  {
    kind: "prompt-format",
    isJson: true,
    what: "how the prompts were written that an adapter was trained on",
    is: ({ name }) => name === "zerogate.json",
    read: async ({ path }) => ({ ...(await readPromptFormat(dirname(path))) }),
  },
  {
    kind: "lock",
    what: "the lock of a run: which process writes to it, or wrote last",
    is: ({ name, object }) => lockName.test(name) || hasKeys(object, "pid", "startTime", "boot"),
    read: async ({ path, name }) => {
      const { record } = await readRecord(path);
      if (!record) return { problem: "it names no process: it was cut off, a resume takes the run over" };
      const isHere = record.host === hostname();
      const isRunning = isHere ? processStart(record.pid) === record.startTime : undefined;
      return { ...record, isFree: name.endsWith(".free"), isRunning };
    },
  },
  {
    kind: "heartbeat",
    what: "the heartbeat of a lock: a number that its writer counts up every second",
    is: ({ name }) => /^lock-[1-9]\d{0,14}\.beat$/.test(name),
    read: async ({ path }) => {
      const text = (await readRegularFile(path)).toString().trim();
      return /^\d+$/.test(text) ? { beats: Number(text) } : { problem: "it holds no number" };
    },
  },
  {
    kind: "report",
    format: "web-page",
    what: "the report of a run, a page that opens from disk",
    is: ({ name, described }) => name === "report.html" || / · Zerogate"/.test(described?.what ?? ""),
    read: async ({ path }) => {
      const page = (await readRegularFile(path, MAX_REPORT_BYTES)).toString();
      const [, title] = /<title>([^<]*) · Zerogate<\/title>/.exec(page) ?? [];
      const [, subtitle] = /<p class="quiet">([^<]*)<\/p>/.exec(page) ?? [];
      if (title === undefined) return { problem: "it is a page, and none that zerogate wrote" };
      const isWhole = page.trimEnd().endsWith("</html>");
      return {
        title: unescaped(title),
        subtitle: unescaped(subtitle ?? ""),
        ...(!isWhole && { problem: "it is cut off" }),
      };
    },
  },
  {
    kind: "base-hash",
    what: "the hash of a base in the cache, under the stamp of its files; it may be deleted at any time",
    is: ({ name }) => /^base-[0-9a-f]{64}$/.test(name),
    read: async ({ path }) => {
      const [hash = "", check = ""] = (await readRegularFile(path, 1000)).toString().split("\n");
      const isWhole = [hash, check].every((text) => /^[0-9a-f]{64}$/.test(text));
      return isWhole ? { hash } : { problem: "it is damaged: the base is hashed again" };
    },
  },
  {
    kind: "launch-file",
    what: "starts a run on several hosts, as cluster init writes it",
    is: ({ name, head }) =>
      /^(?:train\.sh|train\.sbatch|mpijob\.yaml|hosts)$/.test(name) && launchMarks.test(head.toString()),
    read: ({ name }) => ({
      launcher: name === "mpijob.yaml" ? "kubernetes" : name === "train.sbatch" ? "slurm" : "mpirun",
    }),
  },
];

const launchMarks = /zerogate|^# One line a host, as ssh reaches it/im;

const MAX_REPORT_BYTES = 64 * 2 ** 20;

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };

const unescaped = (html: string): string =>
  html.replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => entities[name] ?? "");
