/** Whether processes of one host compute on the same devices: each of them takes all GPUs unless somebody says which are its own. */

export interface RankDevices {
  readonly host: string;
  /** Names of devices that no other process should use, see `EngineSetup` of core. */
  readonly exclusive: readonly string[];
}

/** Returns what is wrong if two ranks of one host would use a device, with all that would and what to do. */
export function sharedDevices(ranks: readonly RankDevices[]): string[] {
  const users = new Map<string, number[]>();
  for (const [rank, { host, exclusive }] of ranks.entries()) {
    for (const device of exclusive) {
      const key = `${device} of ${host}`;
      users.set(key, [...(users.get(key) ?? []), rank]);
    }
  }
  const problems = [...users].flatMap(([device, who]) =>
    who.length > 1 ? [`ranks ${who.join(", ")} would all compute on ${device}`] : [],
  );
  const way =
    "start one process a host (mpirun --map-by ppr:1:node, srun --ntasks-per-node=1), or set CUDA_VISIBLE_DEVICES for each";
  return problems.length === 0 ? [] : [...problems, way];
}
