import { expect, test } from "vitest";
import { launchOf } from "./launcher.ts";

test("a process that nobody launched as part of a job is alone", () => {
  expect(launchOf({})).toBeUndefined();
  expect(launchOf({ SLURM_PROCID: "0", SLURM_NTASKS: "4" })).toBeUndefined(); // a batch script, not a step
  expect(launchOf({ OMPI_COMM_WORLD_RANK: "0" })).toBeUndefined();
  expect(launchOf({ PMI_RANK: "x", PMI_SIZE: "0" })).toBeUndefined();
});

test("rank and size come from the launcher of the process itself, the innermost first", () => {
  const slurm = { SLURM_PROCID: "2", SLURM_STEP_NUM_TASKS: "3", SLURM_STEP_ID: "0" };
  expect(launchOf(slurm)).toEqual({ by: "Slurm's srun", rank: 2, size: 3 });
  const pmi = { ...slurm, PMI_RANK: "1", PMI_SIZE: "2" };
  expect(launchOf(pmi)).toEqual({ by: "a PMI launcher", rank: 1, size: 2 });
  const openMpi = { ...pmi, OMPI_COMM_WORLD_RANK: "0", OMPI_COMM_WORLD_SIZE: "4" };
  expect(launchOf(openMpi)).toEqual({ by: "Open MPI's mpirun", rank: 0, size: 4 });
});
