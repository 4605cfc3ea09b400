/** Headings of a command's help, in this order. */
export const helpGroups = [
  "Required",
  "Common",
  "Model",
  "Adapter",
  "Data",
  "Images",
  "Answers",
  "Training",
  "Validation and checkpoints",
  "Machine",
  "Advanced",
] as const;

/** A heading of help. */
export type HelpGroup = (typeof helpGroups)[number];
