/** PIQA (Bisk et al. 2020): two ways to reach a goal. */
import { ask, type ChoiceTask, placeAt, textAt } from "../definition.ts";

export const piqa: ChoiceTask = {
  kind: "choices",
  name: "piqa",
  dataset: "baber/piqa",
  forms: [["goal", "sol1", "sol2", "label"]],
  metrics: ["acc", "acc_norm"],
  shots: { count: 0, rule: "random", split: "train", sparesOwn: true },
  read: (record) =>
    ask(
      `Question: ${textAt(record, "goal")}\nAnswer:`,
      [textAt(record, "sol1"), textAt(record, "sol2")],
      placeAt(record, "label", 2),
    ),
};
