/** What the entries of `data` ask for: parts that are read in their own ways, and a mixture of them. */
import { type DataPart, loadTemplate, type Mixture, type Tokenizer } from "@zerogate/data";
import { type DataEntry, dataPaths, type MixtureEntry, type TrainConfig } from "@zerogate/run-config";

const isPart = (entry: DataEntry): entry is MixtureEntry => typeof entry !== "string";

/** Returns the parts of `data`, undefined if all of it is read alike and nothing of it is weighed. */
export async function partsOf(
  { data, turns }: Pick<TrainConfig, "data" | "turns">,
  tokenizer: Tokenizer,
): Promise<DataPart[] | undefined> {
  if (!data.some(isPart)) return undefined;
  const parts: DataPart[] = [];
  for (const entry of data) {
    if (!isPart(entry)) parts.push({ paths: entry });
    else {
      const { path: paths, fields, template: name } = entry;
      const template = name === undefined ? undefined : await loadTemplate(name, tokenizer, turns);
      parts.push({ paths, fields, template });
    }
  }
  return parts;
}

/**
 * Returns the mixture that `data` asks for; undefined if no entry has a weight or a cap, so that an epoch holds every sample once.
 *
 * @param recordEnds the numbers behind the last records of the parts.
 */
export function mixtureOf(
  data: readonly DataEntry[],
  recordOf: Int32Array,
  recordEnds: readonly number[] | undefined,
): Mixture | undefined {
  const isMixed = data.some((entry) => isPart(entry) && (entry.weight !== undefined || entry.cap !== undefined));
  if (!isMixed || recordEnds === undefined) return undefined;
  const names = dataPaths(data);
  const parts = data.map((entry, i) => {
    const { weight, cap } = isPart(entry) ? entry : {};
    return { name: names[i] ?? "", weight, cap };
  });
  return { parts, partOf: (sample) => recordEnds.findIndex((end) => (recordOf[sample] ?? 0) < end) };
}
