/** `@zerogate/run-config/words`: names of keys, flags and commands as people type them. Loads nothing else. */
export { flagName } from "./config/flag_name.ts";
export { helpGroups } from "./config/help_groups.ts";
export { suggest } from "./config/suggest.ts";
export { flagSpellings, squash, synonymOf, synonyms } from "./config/synonyms.ts";
export { ownCommand, setOwnName } from "./own_command.ts";
