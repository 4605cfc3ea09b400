/** What a command does together with all hosts that its launcher has started. */
import { type Communicator, type CommunicatorOptions, openCommunicator } from "@zerogate/mpi";
import type { TrainConfig } from "@zerogate/run-config";
import { ReportedError } from "./reported_error.ts";
import { createTeam, type Team } from "./team.ts";

const START_LIMIT_MS = 120_000;

/**
 * Opens the team, works, and leaves the job in good order. What fails is reported before any rank leaves, because launchers end
 * the others when the first one does. Where this rank fails alone, the whole job ends: the launcher may start it again, from
 * the last checkpoint.
 *
 * @throws InputError if MPI cannot be used; what `work` throws, with several ranks as a ReportedError.
 */
export async function withTeam<T>(
  { hosts, hostTimeout }: Pick<TrainConfig, "hosts" | "hostTimeout">,
  stderr: { write(text: string): unknown },
  work: (team: Team) => Promise<T>,
  open: (options: CommunicatorOptions) => Promise<Communicator> = openCommunicator,
): Promise<T> {
  const communicator = await open({ kind: hosts, startLimitMs: START_LIMIT_MS });
  const tell = (line: string) => void stderr.write(`${line}\n`);
  const team = createTeam(communicator, 1000 * hostTimeout, tell);
  try {
    const result = await work(team);
    await communicator.close();
    return result;
  } catch (error) {
    if (team.size === 1) throw error;
    const line = team.lineFor(error);
    if (line !== undefined) tell(line);
    // Others that wait for something else find out by it that this rank leaves; the second one ends the job.
    await communicator.close().catch(() => communicator.close().catch(() => {}));
    throw new ReportedError(error);
  }
}
