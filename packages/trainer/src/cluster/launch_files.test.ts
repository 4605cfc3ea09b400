/** The MPIJob that `cluster init kubernetes` writes, held against what the operator's API (kubeflow.org/v2beta1) says of it. */
import { expect, test } from "vitest";
import { parse } from "yaml";
import { launchFiles } from "./launch_files.ts";

/** What a value must be. Fields that are not named are refused by the API server, which prunes or rejects them. */
type Rule =
  | "count"
  | "text"
  | { readonly oneOf: readonly string[] }
  | { readonly list: Rule }
  | { readonly fields: Readonly<Record<string, Rule>>; readonly needed?: readonly string[] }
  | { readonly map: Rule };

const container: Rule = {
  fields: {
    name: "text",
    image: "text",
    command: { list: "text" },
    resources: { fields: { limits: { map: "text" }, requests: { map: "text" } } },
    volumeMounts: { list: { fields: { name: "text", mountPath: "text" }, needed: ["name", "mountPath"] } },
  },
  needed: ["name", "image"],
};
const pod: Rule = {
  fields: {
    containers: { list: container },
    volumes: {
      list: {
        fields: { name: "text", persistentVolumeClaim: { fields: { claimName: "text" }, needed: ["claimName"] } },
        needed: ["name"],
      },
    },
  },
  needed: ["containers"],
};
const replica: Rule = {
  fields: {
    replicas: "count",
    restartPolicy: { oneOf: ["Never", "OnFailure"] }, // the two that the operator's validation takes
    template: { fields: { spec: pod }, needed: ["spec"] },
  },
  needed: ["replicas", "template"],
};
const mpiJob: Rule = {
  fields: {
    apiVersion: { oneOf: ["kubeflow.org/v2beta1"] },
    kind: { oneOf: ["MPIJob"] },
    metadata: { fields: { name: "text" }, needed: ["name"] },
    spec: {
      fields: {
        slotsPerWorker: "count",
        launcherCreationPolicy: { oneOf: ["AtStartup", "WaitForWorkersReady"] },
        mpiImplementation: { oneOf: ["OpenMPI", "Intel", "MPICH"] },
        sshAuthMountPath: "text",
        runPolicy: {
          fields: {
            cleanPodPolicy: { oneOf: ["All", "Running", "None"] },
            ttlSecondsAfterFinished: "count",
            activeDeadlineSeconds: "count",
            backoffLimit: "count",
          },
        },
        mpiReplicaSpecs: { fields: { Launcher: replica, Worker: replica }, needed: ["Launcher", "Worker"] },
      },
      needed: ["mpiReplicaSpecs"],
    },
  },
  needed: ["apiVersion", "kind", "metadata", "spec"],
};

function problems(value: unknown, rule: Rule, path: string): string[] {
  if (rule === "count") return Number.isInteger(value) && Number(value) >= 0 ? [] : [`${path} is no count`];
  if (rule === "text") return typeof value === "string" || typeof value === "number" ? [] : [`${path} is no text`];
  if ("oneOf" in rule) return rule.oneOf.includes(String(value)) ? [] : [`${path} is ${String(value)}`];
  if ("list" in rule) {
    if (!Array.isArray(value)) return [`${path} is no list`];
    return value.flatMap((item, i) => problems(item, rule.list, `${path}[${i}]`));
  }
  if (typeof value !== "object" || value === null) return [`${path} is no object`];
  const entries = Object.entries(value);
  if ("map" in rule) return entries.flatMap(([key, item]) => problems(item, rule.map, `${path}.${key}`));
  const missing = (rule.needed ?? []).filter((name) => !(name in value)).map((name) => `${path}.${name} is missing`);
  const wrong = entries.flatMap(([key, item]) => {
    const field = rule.fields[key];
    return field ? problems(item, field, `${path}.${key}`) : [`${path}.${key} is not known`];
  });
  return [...missing, ...wrong];
}

test("the MPIJob is one that the operator takes, and its pods mount what its command names", () => {
  const launch = { config: "/shared/a/run.yaml", run: "/shared/runs/first", hosts: 3 };
  const [file] = launchFiles("kubernetes", launch);
  const job = parse(file?.text ?? "") as {
    spec: { mpiReplicaSpecs: Record<"Launcher" | "Worker", { replicas: number; template: { spec: object } }> };
  };
  expect(problems(job, mpiJob, "job")).toEqual([]);
  const { Launcher, Worker } = job.spec.mpiReplicaSpecs;
  expect([Launcher.replicas, Worker.replicas]).toEqual([1, 3]);
  for (const { template } of [Launcher, Worker]) {
    expect(template.spec).toMatchObject({
      containers: [{ volumeMounts: [{ name: "shared", mountPath: "/shared" }] }],
      volumes: [{ name: "shared" }],
    });
  }
  expect(problems({ ...job, spec: { ...job.spec, slotPerWorker: 1 } }, mpiJob, "job")).toEqual([
    "job.spec.slotPerWorker is not known",
  ]);
});
