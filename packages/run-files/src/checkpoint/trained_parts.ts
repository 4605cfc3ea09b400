/** Which parts of an adapter a run trains: those that stay as they are have no moments. */
import type { AdapterLayout } from "@zerogate/core";
import { tableLength, VISION_FILE } from "@zerogate/core/training";

/** The keys of a config that decide it; a stored config of an earlier version may lack them. */
interface PartChoice {
  readonly visionParts?: unknown;
}

/**
 * Returns the layout of what is trained. What stays as it is lies behind all else in the flat vector, so its length is where that begins.
 */
export function trainedLayout({ visionParts }: PartChoice, layout: AdapterLayout): AdapterLayout {
  if (visionParts !== "frozen") return layout;
  const table = layout.table.filter(({ file }) => file !== VISION_FILE);
  return { ...layout, table, length: tableLength(table) };
}

/**
 * Returns the layout that workers compute with: visual queries that stay as they are were made before, so nothing of what makes them
 * goes to a worker; a projection does its work there, trained or not.
 */
export function workerLayout(config: PartChoice, layout: AdapterLayout): AdapterLayout {
  return layout.shape.vision?.fusion === "query" ? trainedLayout(config, layout) : layout;
}
