/** Our names of what a record is made of. */

/** The fields that a map may name. */
export const fieldNames = [
  "instruction",
  "input",
  "output",
  "system",
  "messages",
  "conversations",
  "prompt",
  "completion",
  "tools",
  "image",
] as const;
