/** All commands, in the order in which `zerogate --help` shows them. Their flags are loaded only when they are called. */
import type { AnyDefinition } from "../cli/definition.ts";

interface Listed {
  readonly name: string;
  readonly about: string;
}

export interface ListedCommand extends Listed {
  load(): Promise<{ readonly definition: AnyDefinition }>;
}

/** Commands of one subject: `zerogate adapters show`. */
interface ListedGroup extends Listed {
  readonly commands: readonly ListedCommand[];
}

interface Section {
  readonly title: string;
  readonly commands: readonly (ListedCommand | ListedGroup)[];
}

const adapters: ListedGroup = {
  name: "adapters",
  about: "list, show, compare and average adapters",
  commands: [
    {
      name: "list",
      about: "adapters in these folders and below",
      load: () => import("./adapters_list_flags.ts"),
    },
    {
      name: "show",
      about: "config, gates, norms, hash and counts of an adapter",
      load: () => import("./adapters_show_flags.ts"),
    },
    {
      name: "diff",
      about: "differences of two adapters, part by part",
      load: () => import("./adapters_diff_flags.ts"),
    },
    {
      name: "average",
      about: "mean of the numbers of adapters of one layout",
      load: () => import("./adapters_average_flags.ts"),
    },
  ],
};

const cluster: ListedGroup = {
  name: "cluster",
  about: "train on several hosts: docs/cluster.md",
  commands: [
    {
      name: "check",
      about: "under mpirun or srun: library, hosts, cores, versions, and the time of a sum over all hosts",
      load: () => import("./cluster_check_flags.ts"),
    },
    {
      name: "init",
      about: "write launch files for mpirun, slurm or kubernetes",
      load: () => import("./cluster_init_flags.ts"),
    },
  ],
};

const data: ListedGroup = {
  name: "data",
  about: "look at data before a run does",
  commands: [
    {
      name: "check",
      about: "lengths, cuts, duplicates, leaks into validation, odd characters and bad records of data files",
      load: () => import("./data_check_flags.ts"),
    },
  ],
};

export const sections: readonly Section[] = [
  {
    title: "Start here",
    commands: [
      {
        name: "quickstart",
        about: "train an adapter on the model and instructions that come with zerogate (no download)",
        load: () => import("./quickstart_flags.ts"),
      },
      { name: "doctor", about: "check this machine", load: () => import("./doctor_flags.ts") },
    ],
  },
  {
    title: "The Hub",
    commands: [
      {
        name: "download",
        about: "fetch a model or dataset of the Hugging Face hub, checked, into the cache that Python shares",
        load: () => import("./download_flags.ts"),
      },
      {
        name: "push",
        about: "put an adapter on the Hub, with its settings, template and card",
        load: () => import("./push_flags.ts"),
      },
    ],
  },
  {
    title: "Train",
    commands: [
      { name: "train", about: "train an adapter", load: () => import("./train_flags.ts") },
      {
        name: "estimate",
        about: "say how long a run would take on 1, 2, 8 or other GPUs, and what would limit it",
        load: () => import("./estimate_flags.ts"),
      },
      {
        name: "rehearse",
        about: "run the job of several devices on this machine with devices that wait: how busy they would be",
        load: () => import("./rehearse_flags.ts"),
      },
      {
        name: "resume",
        about: "go on with a run from its newest whole checkpoint",
        load: () => import("./resume_flags.ts"),
      },
      {
        name: "rewind",
        about: "make an earlier checkpoint of a run the newest; later ones are kept aside",
        load: () => import("./rewind_flags.ts"),
      },
      {
        name: "verify",
        about: "compare all hashes of a run, repeat its steps, or compare an adapter with the real PEFT",
        load: () => import("./verify_flags.ts"),
      },
      cluster,
    ],
  },
  {
    title: "Use",
    commands: [
      {
        name: "generate",
        about: "answer an instruction, continue a prompt, or compare adapters",
        load: () => import("./generate_flags.ts"),
      },
      { name: "chat", about: "answer instructions that are typed in", load: () => import("./chat_flags.ts") },
      {
        name: "serve",
        about: "answer over OpenAI's API, with any number of adapters on one base",
        load: () => import("./serve_flags.ts"),
      },
      {
        name: "eval",
        about: "loss in nats, perplexity and exact match on a data set",
        load: () => import("./eval_flags.ts"),
      },
    ],
  },
  {
    title: "Look at and change files",
    commands: [
      {
        name: "inspect",
        about: "say what a run, model, adapter, checkpoint, data set or other file is and holds",
        load: () => import("./inspect_flags.ts"),
      },
      data,
      adapters,
      {
        name: "convert",
        about: "write an adapter as another program stores it",
        load: () => import("./convert_flags.ts"),
      },
    ],
  },
];
