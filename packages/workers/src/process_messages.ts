/** What a device in a process of its own and its coordinator say to each other. */
import type { EncodedError } from "@zerogate/core/training";
import type {
  CellRequest,
  CellResult,
  DeviceJob,
  DeviceSetup,
  EvaluationRequest,
  Generated,
  GenerationRequest,
  LossSum,
  ScoreRequest,
  WeightFolder,
} from "./device_api.ts";
import type { PulseReading } from "./pulse.ts";

/** Parameters of the job come with a request if the process lacks that version of them. */
interface WithParams {
  readonly params: Float32Array | undefined;
}

export type Request =
  | {
      readonly call: "load";
      readonly setup: Omit<DeviceSetup, "jobs" | "weights"> & {
        readonly jobs: readonly Omit<DeviceJob, "params">[];
        readonly weights: WeightFolder;
      };
      readonly device: number;
    }
  | (WithParams & {
      readonly call: "computeCell";
      readonly request: Omit<CellRequest, "slot" | "clears">;
      readonly slotSize: { readonly parameters: number; readonly maxCells: number };
    })
  | (WithParams & { readonly call: "evaluateCell"; readonly request: EvaluationRequest })
  | {
      readonly call: "scoreCell";
      readonly request: ScoreRequest;
      /** Of each of its adapters, as `WithParams` has them. */
      readonly params: readonly WithParams["params"][];
    }
  | (WithParams & { readonly call: "generate"; readonly request: GenerationRequest });

/** What each call answers; a cell's sum is that of this cell alone. */
export interface Answers {
  readonly load: { readonly engineName: string };
  readonly computeCell: { readonly result: CellResult; readonly sums: Int32Array };
  readonly evaluateCell: LossSum;
  readonly scoreCell: Float32Array[];
  readonly generate: Generated;
}

/** Requests are answered one after the other, in their order. */
export type Message =
  | { readonly type: "pulse"; readonly pulse: PulseReading }
  | { readonly type: "answer"; readonly answer: Answers[keyof Answers]; readonly pulse: PulseReading }
  | { readonly type: "error"; readonly error: EncodedError; readonly pulse: PulseReading }
  /** The device's thread ended; the process ends with it. */
  | { readonly type: "ended"; readonly reason: string; readonly pulse: PulseReading };
