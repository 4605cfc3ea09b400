/** Says what is wrong with a command line, in our words instead of the parser's. */
import { InputError } from "@zerogate/core/light";
import { flagName, suggest } from "@zerogate/run-config/words";
import type { Command, CommanderError } from "commander";
import type { Flag } from "./definition.ts";

/**
 * The error of a command line that commander refused.
 * @param command the one that was called, as far as it was recognised
 * @param line how a person types it: `zerogate train`
 */
export function wrongUsage(error: CommanderError, command: Command, line: string): InputError {
  const lists = command.commands.length > 0 ? "commands" : "flags";
  return refusal(line, problemOf(error, command), lists, error);
}

/** @throws InputError if a flag that the command needs is not given, under any name. */
export function checkRequired(
  table: Readonly<Record<string, Flag>>,
  given: Readonly<Record<string, unknown>>,
  line: string,
): void {
  const missing = Object.entries(table).filter(([key, flag]) => flag.isRequired && given[key] === undefined);
  const named = missing.map(([key, { argument, about }]) => `${flagName(key)} ${argument} (${about})`);
  if (named.length > 0) throw refusal(line, `${named.join(" and ")} ${named.length === 1 ? "is" : "are"} missing`);
}

function refusal(line: string, problem: string, lists = "flags", cause?: Error): InputError {
  return new InputError(`Cannot run ${line}`, `${problem} (${line} --help lists all ${lists})`, { cause });
}

function problemOf({ code, message }: CommanderError, command: Command): string {
  const [, quoted = ""] = /'(.*?)'/.exec(message) ?? [];
  switch (code) {
    case "commander.unknownOption":
      return `there is no flag ${quoted}${didYouMean(suggest(quoted, keysOf(command)), flagName)}`;
    case "commander.unknownCommand": {
      const names = command.commands.map((known) => known.name());
      return `there is no command ${quoted}${didYouMean(suggest(quoted, names), String)}`;
    }
    case "commander.optionMissingArgument":
      return `${quoted} needs a value`;
    case "commander.missingArgument":
      return `<${quoted}> is missing`;
    case "commander.excessArguments":
      return excess(command);
    default:
      return message.replace(/^error: /, "");
  }
}

const keysOf = (command: Command) =>
  command.options.filter(({ hidden }) => !hidden).map((option) => option.attributeName());

function didYouMean(near: string | undefined, show: (name: string) => string): string {
  return near === undefined ? "" : `, did you mean ${show(near)}?`;
}

function excess({ args, registeredArguments, options }: Command): string {
  const extra = args.slice(registeredArguments.length).map((text) => JSON.stringify(text));
  const wanted = registeredArguments.map((operand) => `<${operand.name()}>`).join(" ");
  const takes = wanted === "" ? "takes flags only" : `takes ${wanted} and flags`;
  const required = options.filter(({ helpGroupHeading }) => helpGroupHeading === "Required:").map(({ flags }) => flags);
  const how = required.length > 0 ? `, as ${required.join(" ")}` : "";
  return `${extra.join(", ")} ${extra.length === 1 ? "has" : "have"} no flag, it ${takes}${how}`;
}
