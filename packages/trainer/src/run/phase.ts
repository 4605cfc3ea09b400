/** Work outside the steps: loading, tokenising, validating, saving. Undefined `total`: no end in sight. */
export interface Phase {
  readonly name: string;
  readonly done?: number | undefined;
  readonly total?: number | undefined;
  /** In place of `done` and `total`, if numbers alone do not say it. */
  readonly counts?: string;
}
