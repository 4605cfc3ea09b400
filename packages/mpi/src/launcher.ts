/** What the launcher of this process says about the job, read from its environment without touching MPI. */

export interface Launch {
  /** For people: whose variables these are. */
  readonly by: "Open MPI's mpirun" | "a PMI launcher" | "Slurm's srun";
  readonly rank: number;
  readonly size: number;
}

/**
 * The job that this process belongs to; undefined if nobody launched it as one. Slurm sets its variables in plain batch
 * scripts too, so only a step of several tasks (`srun`) counts, and mpirun inside a Slurm job is mpirun.
 */
export function launchOf(env: Readonly<Record<string, string | undefined>>): Launch | undefined {
  return (
    launch("Open MPI's mpirun", env["OMPI_COMM_WORLD_RANK"], env["OMPI_COMM_WORLD_SIZE"]) ??
    launch("a PMI launcher", env["PMI_RANK"], env["PMI_SIZE"]) ??
    (env["SLURM_STEP_ID"] === undefined
      ? undefined
      : launch("Slurm's srun", env["SLURM_PROCID"], env["SLURM_STEP_NUM_TASKS"]))
  );
}

function launch(by: Launch["by"], rank: string | undefined, size: string | undefined): Launch | undefined {
  if (rank === undefined || size === undefined || !/^\d+$/.test(rank) || !/^[1-9]\d*$/.test(size)) return undefined;
  return { by, rank: Number(rank), size: Number(size) };
}
