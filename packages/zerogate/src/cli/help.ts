/** How help looks: flags in groups, what can be typed at the end, as wide as the terminal. */
import { type Command, Option } from "commander";
import type { CommandContext } from "../commands/context.ts";
import type { AnyDefinition } from "./definition.ts";

/** Makes a command write where the context says, and throw instead of ending the process. */
export function configured(command: Command, { stdout, stderr }: CommandContext): Command {
  return command
    .exitOverride()
    .helpCommand(false)
    .addHelpOption(new Option("-h, --help", "show this help").helpGroup("Common:"))
    .configureHelp({ subcommandTerm: (below) => below.name() })
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      outputError: () => {}, // said by `usageMessage`
      getOutHelpWidth: () => stdout.columns ?? 80,
      getErrHelpWidth: () => stderr.columns ?? 80,
    });
}

/** Adds notes and examples below a command's flags. `line` is how a person types the command. */
export function addHelpEnd(command: Command, line: string, { notes, examples }: AnyDefinition, width = 80): void {
  const parts = [
    ...(notes === undefined ? [] : [command.createHelp().boxWrap(notes, width)]),
    `Examples:\n${examples.map(([more, meaning]) => `  ${line}${more && ` ${more}`}\n      ${meaning}`).join("\n")}`,
  ];
  command.addHelpText("after", `\n${parts.join("\n\n")}`);
}
