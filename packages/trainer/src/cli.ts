/** The `zerogate` command line: names, flags and help; every command is loaded only when it is called. */
import { InputError } from "@zerogate/core";
import { Command, CommanderError, Option } from "commander";
import { isDamaged } from "./checkpoint/damaged.ts";
import type { CommandContext, ExitCode } from "./commands/context.ts";
import { flagDefinitions } from "./config/flags.ts";
import { ToldError } from "./team/told_error.ts";
import { versions } from "./version.ts";

const collect = (value: string, before: string[] = []) => [...before, value];

/**
 * Runs one command line.
 * @returns 0 done, 1 failed, 2 unusable input or usage, 3 damaged files, 130 interrupted. Messages go to stderr.
 */
export async function runCli(argv: readonly string[], context: CommandContext): Promise<number> {
  let code: ExitCode = 0;
  const program = createProgram(context, (result) => {
    code = result;
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has printed it
    const isTold = error instanceof ToldError;
    const cause = isTold ? error.cause : error;
    if (context.signal.aborted && cause === context.signal.reason) return 130;
    if (!isTold) context.stderr.write(`${textOf(cause, context.env["ZEROGATE_LOG_LEVEL"] === "debug")}\n`);
    if (cause instanceof InputError) return 2;
    return isDamaged(cause) ? 3 : 1;
  }
}

/** The stack is for faults of ours. */
function textOf(error: unknown, isDebug: boolean): string {
  if (!(error instanceof Error)) return String(error);
  const isOurs = !(error instanceof InputError) && !isDamaged(error);
  return (isDebug && isOurs && error.stack) || error.message;
}

function createProgram(context: CommandContext, done: (code: ExitCode) => void): Command {
  const program = new Command("zerogate")
    .description("Trains LLaMA-Adapter (adaption prompts with zero-initialised gates) on Node")
    .version(versions.zerogate)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
    })
    .showHelpAfterError("(add --help for all flags)")
    .addHelpText(
      "after",
      "\nExit codes: 0 done, 1 failed, 2 unusable input, 3 damaged files, 129, 130, 143 interrupted (everything saved).",
    );

  const quickstart = program
    .command("quickstart")
    .description("train an adapter on the model and instructions that come with zerogate (no download)")
    .option("--json", "one JSON object per step on stdout");
  addConfigFlags(quickstart, ["out", "workers", "engine", "compute", "storage", "seed", "steps"]);
  quickstart.action(async (flags) => {
    done(await (await import("./commands/quickstart.ts")).quickstartCommand(flags, context));
  });

  const train = program
    .command("train")
    .description("train an adapter")
    .option("--config <file>", "YAML or JSON file with any of the keys below")
    .option("--dry-run", "check everything, print config, plan, memory and parameters, train nothing")
    .option("--json", "one JSON object per step on stdout");
  addConfigFlags(train);
  train.action(async (flags) => {
    done(await (await import("./commands/train.ts")).trainCommand(flags, context));
  });

  const resume = program
    .command("resume <run>")
    .description("go on with a run from its newest whole checkpoint")
    .option("--json", "one JSON object per step on stdout");
  resume.option("--accept-change <field>", "go on although this decides the bits, may be given several times", collect);
  addConfigFlags(
    resume,
    flagDefinitions().flatMap(({ key }) => (key === "out" || key === "preset" ? [] : [key])),
  );
  resume.action(async (run, flags) => {
    done(await (await import("./commands/resume.ts")).resumeCommand(run, flags, context));
  });

  const verify = program
    .command("verify [run]")
    .description("compare all hashes of a run (exit code 3 where something differs), or an adapter with the real PEFT")
    .option("--replay <from..to>", "do these steps again and say where they first differ, for example 1..20")
    .option("--against <who>", "peft: logits, loss and gradients of --model and --adapter in a Python that has it")
    .option("--adapter <dir>", "adapter folder, with --against")
    .option("--text <text>", "text to compute with, may be given several times (default: three of our own)", collect)
    .option("--python <path>", "Python with peft, torch and transformers (default: ZEROGATE_PYTHON, else python3)")
    .option("--tolerance <t>", "largest difference, relative to the largest number (default: 1e-4)")
    .option("--engine <name>", "engine: auto, cpu, wasm, reference")
    .option("--compute <dtype>", "arithmetic of matrix products: f32, bf16")
    .option("--json", "one JSON object on stdout");
  addConfigFlags(verify, ["workers", "model", "data", "validationData", "cacheDir"]);
  verify.action(async (run, flags) => {
    done(await (await import("./commands/verify.ts")).verifyCommand(run, flags, context));
  });

  program
    .command("rewind <run>")
    .description("make an earlier checkpoint the newest state; later ones are kept in RUN/rewound")
    .requiredOption("--to <step>", "the checkpoint to go back to")
    .option("--json", "one JSON object on stdout")
    .action(async (run, flags) => {
      done(await (await import("./commands/rewind.ts")).rewindCommand(run, flags, context));
    });

  program
    .command("eval")
    .description("loss in nats, perplexity and exact match on a data set")
    .requiredOption("--model <dir>", "folder of the base model")
    .option("--adapter <dir>", "adapter folder; without it the base is evaluated")
    .requiredOption("--data <files...>", "instruction files")
    .option("--template <name|file>", "prompt template", "alpaca")
    .option("--max-length <n>", "tokens per record")
    .option("--workers <n>", "threads (default: all cores)")
    .option("--output-bias <once|twice>", "what an adapter means that does not say it (PEFT: twice)")
    .option("--engine <name>", "engine: auto, cpu, wasm, reference")
    .option("--compute <dtype>", "arithmetic of matrix products: f32, bf16")
    .option("--storage <how>", "the base's linear maps in memory: as-is, int8")
    .option("--skip-bad-records", "leave out records that cannot be read")
    .option("--json", "one JSON object on stdout")
    .action(async (flags) => {
      done(await (await import("./commands/eval.ts")).evalCommand(flags, context));
    });

  addSamplingFlags(program.command("generate").description("continue a prompt or answer an instruction"))
    .option("--prompt <text>", "text to continue as it is")
    .option("--instruction <text>", "instruction to answer under the template")
    .option("--input <text>", "input of the instruction")
    .option("--prompts <file>", "instructions to answer, one a line (.txt) or as an instruction file")
    .option("--compare <dirs...>", "adapter folders (dir or dir=name) that answer side by side with the base")
    .option("--json", "one JSON object on stdout; with --prompts or --compare one for each prompt")
    .action(async (flags) => {
      done(await (await import("./commands/generate.ts")).generateCommand(flags, context));
    });

  addSamplingFlags(program.command("chat").description("answer instructions that are typed in")).action(
    async (flags) => {
      done(await (await import("./commands/chat.ts")).chatCommand(flags, context));
    },
  );

  program
    .command("inspect <path>")
    .description("say what a model, adapter, checkpoint, run, tensor file or data set holds")
    .option("--json", "one JSON object on stdout")
    .action(async (path, flags) => {
      done(await (await import("./commands/inspect.ts")).inspectCommand(path, flags, context));
    });

  program
    .command("convert <in> <out>")
    .description("write an adapter as another program stores it")
    .requiredOption("--to <format>", "peft, zerogate (folders), original, litgpt, lit-llama (files)")
    .option("--assume-gate <kind>", "what gates of the original's files mean: tanh (default, its training code), raw")
    .option("--gate-reduce <how>", "allow the loss of one gate a layer instead of one a head: mean, median, rms, lstsq")
    .option("--data <file...>", "instructions on which lstsq measures what the layers of --model add")
    .option("--clamp-gates", "allow the loss of gates that tanh cannot reach (1 and more)")
    .option("--adapter-len <n>", "prompts per layer of an original file, where its gates leave it open")
    .option("--model <dir>", "base model: its layers, size and heads are compared, its name is written")
    .option("--heads <n>", "query heads of the base, where no --model says them")
    .option("--dtype <dtype>", "of the numbers written: f32, bf16, f16 (default: those read, else f32)")
    .option("--json", "one JSON object on stdout")
    .action(async (input, out, flags) => {
      done(await (await import("./commands/convert.ts")).convertCommand(input, out, flags, context));
    });

  const adapters = program.command("adapters").description("look at, compare and average adapters");
  adapters
    .command("list <dirs...>")
    .description("adapters in these folders and below")
    .option("--json", "one JSON object an adapter on stdout")
    .action(async (dirs, flags) => {
      done(await (await import("./commands/adapters_list.ts")).listCommand(dirs, flags, context));
    });
  adapters
    .command("show <adapter>")
    .description("config, gates, norms, hash and counts of an adapter")
    .option("--model <dir>", "base model, for the count of all parameters")
    .option("--json", "one JSON object on stdout")
    .action(async (adapter, flags) => {
      done(await (await import("./commands/adapters_show.ts")).showCommand(adapter, flags, context));
    });
  adapters
    .command("diff <a> <b>")
    .description("differences of two adapters; exit code 1 where there are any")
    .option("--json", "one JSON object on stdout")
    .action(async (a, b, flags) => {
      done(await (await import("./commands/adapters_diff.ts")).diffCommand(a, b, flags, context));
    });
  adapters
    .command("average <adapters...>")
    .description("mean of the numbers of adapters of one layout")
    .requiredOption("--out <dir>", "new adapter folder")
    .option("--weights <list>", "one weight per adapter, with commas; divided by their sum (default: equal)")
    .option("--dtype <dtype>", "of the numbers written: f32 (default), bf16, f16")
    .option("--json", "one JSON object on stdout")
    .action(async (folders, flags) => {
      done(await (await import("./commands/adapters_average.ts")).averageCommand(folders, flags, context));
    });

  const cluster = program.command("cluster").description("train on several hosts: docs/cluster.md");
  cluster
    .command("check")
    .description("under mpirun or srun: library, hosts, cores, versions, and the time of a sum over all hosts")
    .option("--workers <n>", "device workers a host (default: all cores)")
    .option("--host-timeout <seconds>", "how long a host may be late (default: 60)")
    .option("--json", "one JSON object on stdout")
    .action(async (flags) => {
      done(await (await import("./commands/cluster_check.ts")).clusterCheckCommand(flags, context));
    });
  cluster
    .command("init <launcher>")
    .description("write launch files for mpirun, slurm or kubernetes")
    .requiredOption("--config <file>", "config of the run, seen by all hosts under this path")
    .requiredOption("--run <dir>", "run directory, on a file system that all hosts share")
    .option("--hosts <n>", "how many hosts (default: 2)")
    .option("--out <dir>", "folder of the files (default: this one)")
    .option("--json", "one JSON object on stdout")
    .action(async (launcher, flags) => {
      done(await (await import("./commands/cluster_init.ts")).clusterInitCommand(launcher, flags, context));
    });

  program
    .command("doctor")
    .description("check this machine")
    .option("--json", "one JSON object on stdout")
    .action(async (flags) => {
      done(await (await import("./commands/doctor.ts")).doctorCommand(flags, context));
    });
  return program;
}

/** Flags of the run config, all of them or those of the given keys. */
function addConfigFlags(command: Command, keys?: readonly string[]): void {
  for (const { flag, key, argument, description } of flagDefinitions()) {
    if (keys && !keys.includes(key)) continue;
    command.addOption(new Option(argument ? `${flag} ${argument}` : flag, description));
  }
}

function addSamplingFlags(command: Command): Command {
  return command
    .requiredOption("--model <dir>", "folder of the base model")
    .option("--adapter <dir[=name]>", "adapter folder, may be given several times; the first is active", collect)
    .option("--use <name>", "adapter to answer with")
    .option("--scale <s>", "how much of the adapter, 0 (the base) to 1 (default)")
    .option("--template <name|file>", "prompt template of instructions", "alpaca")
    .option("--max-new-tokens <n>", "longest answer in tokens (default: 128)")
    .option("--temperature <t>", "0 = greedy (default)")
    .option("--top-p <p>", "nucleus sampling (default: 1)")
    .option("--top-k <k>", "keep the k most likely tokens (default: all)")
    .option("--seed <n>", "seed of the sampling (default: 0)")
    .option("--stop <text>", "end before this text, may be given several times", collect)
    .option("--output-bias <once|twice>", "what an adapter means that does not say it (PEFT: twice)")
    .option("--engine <name>", "engine: auto, cpu, wasm, reference")
    .option("--compute <dtype>", "arithmetic of matrix products: f32, bf16")
    .option("--storage <how>", "the base's linear maps in memory: as-is, int8");
}
