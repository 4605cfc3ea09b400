/** Import directions of docs/architecture.md: zerogate -> serve -> trainer -> run-files -> run-config -> data, hub, vision, workers, engine-* -> core. */
module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    {
      name: "core-stands-alone",
      severity: "error",
      from: { path: "^packages/core/" },
      to: { path: "^packages/(?!core/)" },
    },
    {
      name: "siblings-do-not-meet",
      severity: "error",
      from: { path: "^packages/(data|ffi|hub|vision|workers|engine-(?!cuda)[^/]+)/" },
      to: { path: "^packages/(?!core/)", pathNot: "^packages/$1/" },
    },
    {
      name: "run-config-reads-no-run",
      severity: "error",
      from: { path: "^packages/run-config/" },
      to: { path: "^packages/(run-files|trainer|serve|zerogate)/" },
    },
    {
      name: "run-files-train-nothing",
      severity: "error",
      from: { path: "^packages/run-files/src/" },
      to: { path: "^packages/(trainer|serve|zerogate)/" },
    },
    {
      name: "trainer-shows-nothing",
      comment: "A run reports to its view; the command is one of them. Tests may go through the command.",
      severity: "error",
      from: { path: "^packages/trainer/src/", pathNot: "\\.test\\.ts$" },
      to: { path: "^packages/(serve|zerogate)/" },
    },
    {
      name: "server-needs-no-command",
      comment: "A program that serves is a client of the library as the command is.",
      severity: "error",
      from: { path: "^packages/serve/src/", pathNot: "\\.test\\.ts$" },
      to: { path: "^packages/(run-files|zerogate)/" },
    },
    {
      name: "native-libraries-stand-on-ffi",
      severity: "error",
      from: { path: "^packages/(mpi|engine-cuda)/" },
      to: { path: "^packages/(?!core/|ffi/)", pathNot: "^packages/$1/" },
    },
    {
      name: "only-public-entry",
      severity: "error",
      from: { path: "^packages/([^/]+)/" },
      to: {
        path: "^packages/([^/]+)/src/(?!index\\.ts$|node\\.ts$|wasm\\.ts$|command\\.ts$|engine\\.ts$|formats\\.ts$|training\\.ts$|vision\\.ts$|keys\\.ts$|light\\.ts$|describe\\.ts$|words\\.ts$)",
        pathNot: "^packages/$1/",
      },
    },
    {
      name: "families-by-their-table",
      comment: "A family of models is known to families.ts alone, so that a new one is a file and a row.",
      severity: "error",
      from: { path: "^packages/", pathNot: "^packages/core/src/model/families/" },
      to: { path: "^packages/core/src/model/families/(?!families\\.ts$|family\\.ts$)" },
    },
    {
      name: "core-from-the-ground-up",
      comment: "Numbers and formats know no model; a model knows nothing of texts, which are made on top of it.",
      severity: "error",
      from: { path: "^packages/core/src/(kernels|formats|optim|sum)/", pathNot: "\\.test\\.ts$" },
      to: { path: "^packages/core/src/(cell|model|generate|vision|node)/" },
    },
    {
      name: "core-generates-on-top",
      comment: "adapter/model.ts is a model as PEFT has it: it trains and generates.",
      severity: "error",
      from: {
        path: "^packages/core/src/(adapter|cell|engine|model|vision)/",
        pathNot: "(\\.test\\.ts|adapter/model\\.ts)$",
      },
      to: { path: "^packages/core/src/(generate|node)/" },
    },
    {
      name: "run-files-from-the-ground-up",
      comment: "Files that survive a crash, then what is written to them, then checkpoints, which hold a part of it.",
      severity: "error",
      from: { path: "^packages/run-files/src/(files|receipt|metrics|lock)/", pathNot: "\\.test\\.ts$" },
      to: {
        path: "^packages/run-files/src/(checkpoint|receipt|metrics|lock)/",
        pathNot: "^packages/run-files/src/$1/",
      },
    },
    {
      name: "trainer-enters-once",
      comment: "What a program calls stands on top: what it calls does not call it.",
      severity: "error",
      from: { path: "^packages/trainer/src/(cluster|open|run|team)/", pathNot: "\\.test\\.ts$" },
      to: { path: "^packages/trainer/src/(entry|rehearse)/" },
    },
    {
      name: "screens-know-no-command",
      severity: "error",
      from: { path: "^packages/zerogate/src/(report|status|terminal)/", pathNot: "\\.test\\.ts$" },
      to: { path: "^packages/zerogate/src/(cli|commands)/" },
    },
    {
      name: "core-runs-anywhere",
      comment: "Only what stands behind @zerogate/core/node may use Node's own modules.",
      severity: "error",
      from: { path: "^packages/core/src/", pathNot: "(\\.test\\.ts$|^packages/core/src/node(\\.ts$|/))" },
      to: { dependencyTypes: ["core"] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    exclude: "(^|/)dist/",
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["@zerogate/source", "import", "default"],
    },
  },
};
