/** The families of towers, by `model_type`. Add a file beside the others in `families/` and a row here. */
import { clip } from "./families/clip.ts";
import type { TowerFamily } from "./families/family.ts";
import { siglip } from "./families/siglip.ts";
import { vit } from "./families/vit.ts";

const towerFamilies: readonly TowerFamily[] = [clip, vit, siglip];

const byName: ReadonlyMap<unknown, TowerFamily> = new Map(
  towerFamilies.flatMap((family) => [[family.name, family] as const, [family.modelType, family] as const]),
);

/** The family of that name or `model_type`; undefined if there is none. */
export function findTowerFamily(name: unknown): TowerFamily | undefined {
  return byName.get(name);
}

/** @throws RangeError if there is no such family; `parseTowerConfig` gives none. */
export function towerFamilyOf({ family }: { readonly family: string }): TowerFamily {
  const found = byName.get(family);
  if (!found) throw new RangeError(`Cannot compute a tower of the family ${JSON.stringify(family)}: it is not known`);
  return found;
}

/** The supported values of `model_type`. */
export function supportedTowers(): readonly string[] {
  return towerFamilies.map(({ modelType }) => modelType);
}
