/**
 * The MPIJob that `cluster init kubernetes` writes, held against what the operator's API says of it: a transcription, field by
 * field, of kubeflow/mpi-operator's `pkg/apis/kubeflow/v2beta1/types.go` (of which its CRD `kubeflow.org_mpijobs.yaml` is
 * generated; the version with `managedBy`) and `validation.go`, which says what the operator itself refuses. Of a pod only those
 * fields are here that the CRD has and a launch file may want.
 */
import { expect, test } from "vitest";
import { parse } from "yaml";
import { launchFiles } from "./launch_files.ts";

/** What a value must be. Fields that are not named are unknown, which `kubectl apply` refuses. */
type Rule =
  | "text"
  | "boolean"
  | "quantity"
  | { readonly from: number; readonly to?: number }
  | { readonly oneOf: readonly string[] }
  | { readonly list: Rule }
  | { readonly fields: Readonly<Record<string, Rule>>; readonly needed?: readonly string[] }
  | { readonly map: Rule };

const count: Rule = { from: 0, to: 2 ** 31 - 1 };
const metadata: Rule = {
  fields: { name: "text", namespace: "text", labels: { map: "text" }, annotations: { map: "text" } },
};
const container: Rule = {
  fields: {
    name: "text",
    image: "text",
    command: { list: "text" },
    args: { list: "text" },
    env: { list: { fields: { name: "text", value: "text" }, needed: ["name"] } },
    resources: { fields: { limits: { map: "quantity" }, requests: { map: "quantity" } } },
    volumeMounts: {
      list: { fields: { name: "text", mountPath: "text", readOnly: "boolean" }, needed: ["name", "mountPath"] },
    },
  },
  needed: ["name"],
};
const claim: Rule = { fields: { claimName: "text", readOnly: "boolean" }, needed: ["claimName"] };
const pod: Rule = {
  fields: {
    containers: { list: container },
    volumes: { list: { fields: { name: "text", persistentVolumeClaim: claim }, needed: ["name"] } },
    nodeSelector: { map: "text" },
  },
  needed: ["containers"],
};
/** `restartPolicy` knows Always and ExitCode too, but the operator's validation takes two, and needs `replicas`. */
const replica = (replicas: Rule): Rule => ({
  fields: {
    replicas,
    restartPolicy: { oneOf: ["Never", "OnFailure"] },
    template: { fields: { metadata, spec: pod }, needed: ["spec"] },
  },
  needed: ["replicas", "restartPolicy", "template"],
});
const schedulingPolicy: Rule = {
  fields: {
    minAvailable: count,
    queue: "text",
    minResources: { map: "quantity" },
    priorityClass: "text",
    scheduleTimeoutSeconds: count,
  },
};
const mpiJob: Rule = {
  fields: {
    apiVersion: { oneOf: ["kubeflow.org/v2beta1"] },
    kind: { oneOf: ["MPIJob"] },
    metadata,
    spec: {
      fields: {
        slotsPerWorker: count,
        runLauncherAsWorker: "boolean",
        launcherCreationPolicy: { oneOf: ["AtStartup", "WaitForWorkersReady"] },
        mpiImplementation: { oneOf: ["OpenMPI", "Intel", "MPICH"] },
        sshAuthMountPath: "text",
        runPolicy: {
          fields: {
            cleanPodPolicy: { oneOf: ["All", "Running", "None"] },
            ttlSecondsAfterFinished: count,
            activeDeadlineSeconds: { from: 0 },
            backoffLimit: count,
            suspend: "boolean",
            managedBy: { oneOf: ["kubeflow.org/mpi-operator", "kueue.x-k8s.io/multikueue"] },
            schedulingPolicy,
          },
        },
        mpiReplicaSpecs: {
          fields: { Launcher: replica({ from: 1, to: 1 }), Worker: replica({ from: 1, to: 2 ** 31 - 1 }) },
          needed: ["Launcher"],
        },
      },
      needed: ["mpiReplicaSpecs"],
    },
  },
  needed: ["apiVersion", "kind", "metadata", "spec"],
};

/** Kubernetes' own pattern, whose values may be numbers too. */
const quantity = /^[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?(\d+(\.\d*)?|\.\d+))?$/;

function problems(value: unknown, rule: Rule, path: string): string[] {
  if (rule === "text" || rule === "boolean") {
    return typeof value === (rule === "text" ? "string" : rule) ? [] : [`${path} is no ${rule}`];
  }
  if (rule === "quantity") {
    const isQuantity = Number.isInteger(value) || (typeof value === "string" && quantity.test(value));
    return isQuantity ? [] : [`${path} is no quantity`];
  }
  if ("from" in rule) {
    const { from, to = Number.MAX_SAFE_INTEGER } = rule;
    const isCount = typeof value === "number" && Number.isInteger(value) && value >= from && value <= to;
    return isCount ? [] : [`${path} is no whole number of ${from} to ${to}`];
  }
  if ("oneOf" in rule) return rule.oneOf.some((name) => name === value) ? [] : [`${path} is ${String(value)}`];
  if ("list" in rule) {
    if (!Array.isArray(value)) return [`${path} is no list`];
    return value.flatMap((item, i) => problems(item, rule.list, `${path}[${i}]`));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [`${path} is no object`];
  const entries = Object.entries(value);
  if ("map" in rule) return entries.flatMap(([key, item]) => problems(item, rule.map, `${path}.${key}`));
  const missing = (rule.needed ?? []).filter((name) => !(name in value)).map((name) => `${path}.${name} is missing`);
  const wrong = entries.flatMap(([key, item]) => {
    const field = rule.fields[key];
    return field ? problems(item, field, `${path}.${key}`) : [`${path}.${key} is not known`];
  });
  return [...missing, ...wrong];
}

/** Its workers' names, `NAME-worker-N`, must be DNS labels: the operator's `validateMPIJobName`. */
function nameProblems({ metadata: { name }, spec }: Job): string[] {
  const last = `${name}-worker-${spec.mpiReplicaSpecs.Worker.replicas - 1}`;
  return /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(last) ? [] : [`${last} is no DNS label`];
}

interface Job {
  metadata: { name: string };
  spec: {
    slotsPerWorker: unknown;
    mpiReplicaSpecs: Record<"Launcher" | "Worker", { replicas: number; template: { spec: object } }>;
    [key: string]: unknown;
  };
}
const launch = { config: "/shared/a/run.yaml", run: "/shared/runs/first", hosts: 128 };
const written = (): Job => parse(launchFiles("kubernetes", launch)[0]?.text ?? "") as Job;

test("the MPIJob is one that the operator takes, and its pods mount what its command names", () => {
  const job = written();
  expect(problems(job, mpiJob, "job")).toEqual([]);
  expect(nameProblems(job)).toEqual([]);
  const { Launcher, Worker } = job.spec.mpiReplicaSpecs;
  expect([Launcher.replicas, Worker.replicas]).toEqual([1, 128]);
  for (const { template } of [Launcher, Worker]) {
    expect(template.spec).toMatchObject({
      containers: [{ volumeMounts: [{ name: "shared", mountPath: "/shared" }] }],
      volumes: [{ name: "shared" }],
    });
  }
});

test.each<[string, (job: Job) => unknown]>([
  ["job.spec.slotPerWorker is not known", ({ spec }) => Object.assign(spec, { slotPerWorker: 1 })],
  ["job.spec.slotsPerWorker is no whole number", ({ spec }) => Object.assign(spec, { slotsPerWorker: "1" })],
  ["job.spec.launcherCreationPolicy is Later", ({ spec }) => Object.assign(spec, { launcherCreationPolicy: "Later" })],
  ["job.spec.mpiReplicaSpecs is missing", ({ spec }) => Reflect.deleteProperty(spec, "mpiReplicaSpecs")],
  ["Launcher.replicas is no whole number of 1 to 1", ({ spec }) => (spec.mpiReplicaSpecs.Launcher.replicas = 2)],
  ["Worker.replicas is no whole number of 1", ({ spec }) => (spec.mpiReplicaSpecs.Worker.replicas = 0)],
  [
    "Worker.template.spec.containers is missing",
    ({ spec }) => Reflect.deleteProperty(spec.mpiReplicaSpecs.Worker.template.spec, "containers"),
  ],
])("a job is refused if %s", (says, change) => {
  const job = written();
  change(job);
  expect(problems(job, mpiJob, "job")).toEqual([expect.stringContaining(says)]);
});
