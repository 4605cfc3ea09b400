/** The command line as commander parses it: the commands of `commands/list.ts`, with the flags of the one that is called. */

import { flagName, helpGroups, ownCommand } from "@zerogate/run-config/words";
import { Command, CommanderError, Option } from "commander";
import type { CommandContext, ExitCode } from "../commands/context.ts";
import { type ListedCommand, sections } from "../commands/list.ts";
import type { Flag } from "./definition.ts";
import { addHelpEnd, configured } from "./help.ts";
import { addSynonyms, namedFlags } from "./synonym_flags.ts";
import { checkRequired, wrongUsage } from "./wrong_usage.ts";

/**
 * Runs one command line.
 * @returns 2 also if it names no command: help was shown instead.
 * @throws InputError for a command line that cannot be used.
 */
export async function runProgram(argv: readonly string[], context: CommandContext): Promise<ExitCode | 2> {
  let code: ExitCode = 0;
  const words = argv[0] === "help" ? [...argv.slice(1), "--help"] : [...argv];
  const program = createProgram(context);
  const { command, line, listed } = calledCommand(program, words);
  if (listed) {
    const { definition } = await listed.load();
    for (const operand of definition.operands ?? []) command.argument(operand);
    addFlags(command, Object.entries(definition.flags));
    addSynonyms(command, definition.flags);
    addHelpEnd(command, line, definition, context.stdout.columns);
    command.action(async () => {
      const operands: unknown[] = command.processedArgs.flat();
      const onNote = (note: string) => context.stderr.write(`${note}\n`);
      const flags = namedFlags(command.opts(), Object.keys(definition.flags), `Cannot run ${line}`, onNote);
      checkRequired(definition.flags, flags, line);
      code = await definition.run(operands as string[], flags, context);
    });
  }
  try {
    await program.parseAsync(words, { from: "user" });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === "commander.helpDisplayed") return 0;
    if (error.code === "commander.help") return 2;
    throw wrongUsage(error, command, line);
  }
}

/** All commands by name; the one that is called gets its flags later. */
function createProgram(context: CommandContext): Command {
  const program = configured(new Command("zerogate"), context)
    .description("Trains LLaMA-Adapter (adaption prompts with zero-initialised gates) on Node")
    .addOption(new Option("-V, --version", "print the version").helpGroup("Common:")) // `runCli` answers it
    .addHelpText(
      "after",
      `\n${ownCommand`COMMAND --help`} shows the flags of a command, with examples.\n\n` +
        "Exit codes: 0 done, 1 failed, 2 unusable input, 3 damaged files,\n" +
        "129, 130, 143 interrupted (everything saved).",
    );
  for (const { title, commands } of sections) {
    program.commandsGroup(`${title}:`);
    for (const entry of commands) {
      const command = configured(program.command(entry.name), context).description(entry.about);
      if (!("commands" in entry)) continue;
      for (const { name, about } of entry.commands) configured(command.command(name), context).description(about);
    }
  }
  return program;
}

interface Called {
  /** The command, or if none is named the program or the group of commands. */
  readonly command: Command;
  /** How a person types it: `zerogate adapters show`. */
  readonly line: string;
  readonly listed?: ListedCommand | undefined;
}

function calledCommand(program: Command, [first, second]: readonly string[]): Called {
  const entry = sections.flatMap(({ commands }) => commands).find((known) => known.name === first);
  const command = program.commands.find((known) => known.name() === first);
  if (!entry || !command) return { command: program, line: ownCommand`` };
  const line = ownCommand`${entry.name}`;
  if (!("commands" in entry)) return { command, line, listed: entry };
  const listed = entry.commands.find((known) => known.name === second);
  const below = command.commands.find((known) => known.name() === second);
  return listed && below ? { command: below, line: `${line} ${listed.name}`, listed } : { command, line };
}

function addFlags(command: Command, flags: readonly [key: string, flag: Flag][]): void {
  const place = ({ group }: Flag) => helpGroups.indexOf(group);
  const negatable = new Set<Option>();
  for (const [key, flag] of flags.toSorted(([, a], [, b]) => place(a) - place(b))) {
    const { group, argument, about, repeats = false, isNegatable = false } = flag;
    const name = flagName(key);
    const option = new Option(argument === undefined ? name : `${name} ${argument}`, about).helpGroup(`${group}:`);
    if (repeats) option.argParser((value: string, before?: string[]) => [...(before ?? []), value]);
    command.addOption(option);
    if (!isNegatable) continue;
    negatable.add(option);
    command.addOption(new Option(name.replace("--", "--no-")).hideHelp());
  }
  command.configureHelp({
    ...command.configureHelp(),
    optionTerm: (option) => (negatable.has(option) ? option.flags.replace("--", "--[no-]") : option.flags),
  });
}
