/** Says what is wrong with a command line, in our words instead of the parser's. */
import { InputError } from "@zerogate/core";
import type { Command, CommanderError } from "commander";
import { suggest } from "../config/suggest.ts";

/**
 * The error of a command line that commander refused.
 * @param command the one that was called, as far as it was recognised
 * @param line how a person types it: `zerogate train`
 */
export function wrongUsage(error: CommanderError, command: Command, line: string): InputError {
  const lists = command.commands.length > 0 ? "commands" : "flags";
  const problem = `${problemOf(error, command)} (${line} --help lists all ${lists})`;
  return new InputError(`Cannot run ${line}`, problem, { cause: error });
}

function problemOf({ code, message }: CommanderError, command: Command): string {
  const [, quoted = ""] = /'(.*?)'/.exec(message) ?? [];
  switch (code) {
    case "commander.unknownOption":
      return `there is no flag ${quoted}${didYouMean(quoted, flagsOf(command))}`;
    case "commander.unknownCommand":
      return `there is no command ${quoted}${didYouMean(
        quoted,
        command.commands.map((known) => known.name()),
      )}`;
    case "commander.optionMissingArgument":
      return `${quoted} needs a value`;
    case "commander.missingArgument":
      return `<${quoted}> is missing`;
    case "commander.missingMandatoryOptionValue":
      return missingFlags(command);
    case "commander.excessArguments":
      return excess(command);
    default:
      return message.replace(/^error: /, "");
  }
}

const flagsOf = (command: Command) =>
  command.options.flatMap(({ long, hidden }) => (long == null || hidden ? [] : [long]));

function didYouMean(given: string, known: readonly string[]): string {
  const near = suggest(given, known);
  return near === undefined ? "" : `, did you mean ${near}?`;
}

/** Commander names the first one only. */
function missingFlags(command: Command): string {
  const missing = command.options.filter(
    (option) => option.mandatory && command.getOptionValue(option.attributeName()) === undefined,
  );
  const named = missing.map(({ flags, description }) => `${flags} (${description})`);
  return `${named.join(" and ")} ${named.length === 1 ? "is" : "are"} missing`;
}

function excess({ args, registeredArguments, options }: Command): string {
  const extra = args.slice(registeredArguments.length).map((text) => JSON.stringify(text));
  const wanted = registeredArguments.map((operand) => `<${operand.name()}>`).join(" ");
  const takes = wanted === "" ? "takes flags only" : `takes ${wanted} and flags`;
  const required = options.filter(({ helpGroupHeading }) => helpGroupHeading === "Required:").map(({ flags }) => flags);
  const how = required.length > 0 ? `, as ${required.join(" ")}` : "";
  return `${extra.join(", ")} ${extra.length === 1 ? "has" : "have"} no flag, it ${takes}${how}`;
}
