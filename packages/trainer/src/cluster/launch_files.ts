/**
 * Launch files for several hosts. All of them start a run or go on with it, and start it again a bounded number of times
 * if a host is lost: on whatever hosts the launcher has then, to the same bits.
 */

import { dirname } from "node:path";

/** Launchers that files can be made for. */
export const launcherNames = ["mpirun", "slurm", "kubernetes"] as const;
/** A launcher that files can be made for. */
export type LauncherName = (typeof launcherNames)[number];

/** What is to be launched, and on how many hosts. */
export interface Launch {
  /** Absolute, and the same on every host, as are all paths in the config. */
  readonly config: string;
  readonly run: string;
  readonly hosts: number;
}

export interface LaunchFile {
  readonly name: string;
  readonly text: string;
  readonly isProgram: boolean;
}

/** Settings of Open MPI's mpirun that a run needs, each with its reason. */
const mpirunSettings = [
  ["--map-by ppr:1:node", "one process a host, its workers inside"],
  ["--bind-to none", "else Open MPI pins the whole process to one core"],
  ["--mca mpi_yield_when_idle 1", "5 to 7 times faster sums where cores are contended"],
  [
    '--mca odls_base_sigkill_timeout "${GRACE:-10}"',
    "seconds for a step and its checkpoint when it is stopped, after as many until the ranks hear of it",
  ],
  ["--mca oob_tcp_keepalive_time 10", "a host that is cut off is noticed in 20 s, else never"],
  ["--mca oob_tcp_keepalive_intvl 2", ""],
  ["--mca oob_tcp_keepalive_probes 5", ""],
] as const;

/** Returns the files that launch a run, text by name. */
export function launchFiles(launcher: LauncherName, launch: Launch): LaunchFile[] {
  switch (launcher) {
    case "mpirun":
      return [
        { name: "hosts", text: hostFile(launch), isProgram: false },
        { name: "train.sh", text: mpirunScript(launch), isProgram: true },
      ];
    case "slurm":
      return [{ name: "train.sbatch", text: batchScript(launch), isProgram: true }];
    case "kubernetes":
      return [{ name: "mpijob.yaml", text: mpiJob(launch), isProgram: false }];
  }
}

function hostFile({ hosts }: Launch): string {
  const lines = Array.from({ length: hosts }, (_, i) => `host-${i + 1} slots=1`);
  return `# One line a host, as ssh reaches it; the first one is rank 0, which writes.\n${lines.join("\n")}\n`;
}

/** Exit codes that another try would not change: done, unusable input, damaged files, asked to stop. */
const finalCodes = "0|2|3|130|143";

const loop = ({ config, run }: Launch) => `ZEROGATE=\${ZEROGATE:-zerogate}    # as it is called on every host
CONFIG='${config}'
RUN='${run}'                  # on a file system that all hosts share
TRIES=\${TRIES:-20}
PAUSE=\${PAUSE:-10}

stop=
trap 'stop=1; kill -TERM "$child"' TERM # all ranks finish their step and save
trap 'stop=1' INT                       # Ctrl-C reaches the launcher by itself
for try in $(seq "$TRIES"); do
  if [ -e "$RUN/config.json" ]; then launch resume "$RUN" & else launch train --config "$CONFIG" --out "$RUN" & fi
  child=$!
  while wait "$child"; code=$?; kill -0 "$child" 2>/dev/null; do :; done
  if [ "$stop" ]; then exit $code; fi
  case $code in ${finalCodes}) exit $code ;; esac
  echo "try $try of $TRIES ended with $code, going on from the last checkpoint" >&2
  sleep "$PAUSE"
done
exit $code
`;

function mpirunScript(launch: Launch): string {
  const reasons = mpirunSettings.filter(([, why]) => why !== "").map(([setting, why]) => `#   ${setting}: ${why}`);
  return `#!/bin/bash
# Trains on the hosts of ./hosts. A lost host ends a try; take it out of ./hosts and the next one goes on without it.
${reasons.join("\n")}
hosts="$(cd "$(dirname "$0")" && pwd)/hosts"

launch() {
  exec mpirun --hostfile "$hosts" ${mpirunSettings.map(([setting]) => setting).join(" \\\n    ")} \\
    -x PATH $ZEROGATE "$@"
}

${loop(launch)}`;
}

function batchScript(launch: Launch): string {
  return `#!/bin/bash
#SBATCH --job-name=zerogate
#SBATCH --nodes=${launch.hosts}
#SBATCH --ntasks-per-node=1          # one process a host, its workers inside
#SBATCH --cpus-per-task=16           # cores of a host; --gpus-per-node where it has GPUs
#SBATCH --requeue                    # a lost node: Slurm starts the job again on other nodes, and it goes on
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120            # before the time limit: finish the step and save

launch() {
  exec srun --mpi=pmix --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" $ZEROGATE "$@"
}

${loop(launch)}`;
}

function mpiJob({ config, run, hosts }: Launch): string {
  const shared = commonFolder(dirname(config), dirname(run));
  const script = [
    `if [ -e '${run}/config.json' ]; then set -- resume '${run}'; else set -- train --config '${config}' --out '${run}'; fi`,
    `exec mpirun ${mpirunSettings.map(([setting]) => setting).join(" ")} -x PATH zerogate "$@"`,
  ];
  return `# Needs the MPI operator (kubeflow.org/v2beta1) and an image with Node, zerogate, openmpi-bin and openssh-server.
apiVersion: kubeflow.org/v2beta1
kind: MPIJob
metadata:
  name: zerogate
spec:
  slotsPerWorker: 1 # one process a pod, its workers inside
  launcherCreationPolicy: WaitForWorkersReady
  runPolicy:
    cleanPodPolicy: Running
    backoffLimit: 20 # a launcher that failed is started again and goes on from the last checkpoint
  mpiReplicaSpecs:
    Launcher:
      replicas: 1
      restartPolicy: OnFailure
      template:
        spec:
          containers:
            - name: launcher
              image: zerogate:latest
              command:
                - bash
                - -c
                - |
${script.map((line) => `                  ${line}`).join("\n")}
              volumeMounts:
                - { name: shared, mountPath: ${JSON.stringify(shared)} } # holds config, run directory, base and data
          volumes:
            - { name: shared, persistentVolumeClaim: { claimName: zerogate } }
    Worker:
      replicas: ${hosts}
      restartPolicy: OnFailure
      template:
        spec:
          containers:
            - name: worker
              image: zerogate:latest
              command: [/usr/sbin/sshd, -De]
              resources:
                limits: { cpu: 16, memory: 64Gi }
              volumeMounts:
                - { name: shared, mountPath: ${JSON.stringify(shared)} }
          volumes:
            - { name: shared, persistentVolumeClaim: { claimName: zerogate } }
`;
}

/** The innermost folder that holds both. */
function commonFolder(a: string, b: string): string {
  return b === a || b.startsWith(`${a}/`) || a === "/" ? a : commonFolder(dirname(a), b);
}
