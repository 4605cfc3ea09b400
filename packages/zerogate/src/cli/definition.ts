/** What a command declares beside its code, in `commands/NAME_flags.ts`: its flags, the end of its help, and how it is called. */
import type { HelpGroup } from "@zerogate/run-config/keys";
import type { CommandContext, ExitCode } from "../commands/context.ts";

export interface Flag {
  readonly group: HelpGroup;
  /** `<dir>`, `<files...>` for one or more; undefined for a switch. */
  readonly argument?: string;
  readonly about: string;
  /** The command does not start without it. */
  readonly isRequired?: boolean;
  /** May be given several times; the command gets a list. */
  readonly repeats?: boolean;
  /** A switch that `--no-…` turns off. */
  readonly isNegatable?: boolean;
}

/** A flag for every key that the command's code reads, under that key: `maxLength` is `--max-length`. */
export type FlagTable<Flags> = { readonly [Key in keyof Flags]-?: Flag };

/** A line that can be typed, without the name of the program and of the command, and what it does. */
type Example = readonly [line: string, meaning: string];

export interface CommandDefinition<Flags, Operands extends readonly string[] = readonly []> {
  /** As the usage line shows them: `<run>`, `[run]`, `<adapters...>`. */
  readonly operands?: readonly string[];
  readonly flags: FlagTable<Flags>;
  /** Sentences below the flags. */
  readonly notes?: string;
  readonly examples: readonly Example[];
  /** Loads the command's code and runs it. */
  run(operands: Operands, flags: Flags, context: CommandContext): Promise<ExitCode>;
}

/** A definition of which only the name of the command is known. */
export type AnyDefinition = Omit<CommandDefinition<object, readonly string[]>, "flags"> & {
  readonly flags: Readonly<Record<string, Flag>>;
};
