/** The part of the test Hub that takes: new repositories, uploads, commits. */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

export interface Pushes {
  readonly created: string[];
  /** Bytes of large files by their SHA-256. */
  readonly uploads: Map<string, Buffer>;
  readonly commits: Commit[];
  isPrivate: boolean | undefined;
}

interface Commit {
  readonly repo: string;
  readonly revision: string;
  readonly isPullRequest: boolean;
  readonly title: string;
  /** Contents of small files, and SHA-256 of large ones. */
  readonly files: Readonly<Record<string, string>>;
  readonly lfs: Readonly<Record<string, string>>;
}

type Line = { readonly key: string; readonly value: Readonly<Record<string, string>> };

/** Answers what a client of the Hub sends to make a commit. */
export async function pushAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  cdn: string,
  pushes: Pushes,
): Promise<void> {
  const body = await bodyOf(request);
  const reply = (value: unknown) => {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
  };
  if (request.method === "PUT") {
    pushes.uploads.set(createHash("sha256").update(body).digest("hex"), body);
    return void response.writeHead(200).end();
  }
  if (path === "/api/repos/create") {
    const { name, organization, visibility } = JSON.parse(body.toString()) as Record<string, string>;
    const id = `${organization}/${name}`;
    if (pushes.created.includes(id)) return void response.writeHead(409).end("{}");
    pushes.created.push(id);
    pushes.isPrivate = visibility === "private";
    return reply({ url: `/${id}`, id });
  }
  if (path.includes("/preupload/")) {
    const { files } = JSON.parse(body.toString()) as { files: { path: string }[] };
    const modeOf = (name: string) => (name.endsWith(".safetensors") ? "lfs" : "regular");
    return reply({
      files: files.map((file) => ({ path: file.path, uploadMode: modeOf(file.path), shouldIgnore: false })),
    });
  }
  if (path.endsWith("/info/lfs/objects/batch")) {
    const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
    const actions = (oid: string) => ({ upload: { href: `${cdn}/upload/${oid}`, header: {} } });
    const all = objects.map(({ oid, size }) => ({ oid, size, authenticated: true, actions: actions(oid) }));
    response.writeHead(200, { "content-type": "application/vnd.git-lfs+json" });
    return void response.end(JSON.stringify({ transfer: "basic", objects: all }));
  }
  const [, repo, revision] = /^\/api\/models\/([^/]+\/[^/]+)\/commit\/([^/]+)$/.exec(path) ?? [];
  if (repo === undefined || revision === undefined) return void response.writeHead(404).end("{}");
  const isPullRequest = (request.url ?? "").includes("create_pr=1");
  pushes.commits.push({ repo, revision, isPullRequest, ...readCommit(body.toString()) });
  const pullRequestUrl = isPullRequest ? { pullRequestUrl: `/${repo}/discussions/1` } : {};
  reply({
    success: true,
    commitOid: "c".repeat(40),
    commitUrl: `/${repo}/commit/${"c".repeat(40)}`,
    ...pullRequestUrl,
  });
}

function readCommit(text: string): Pick<Commit, "title" | "files" | "lfs"> {
  const lines = text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Line]));
  const [files, lfs]: Record<string, string>[] = [{}, {}];
  for (const { key, value } of lines) {
    if (key === "file" && files) files[value["path"] ?? ""] = Buffer.from(value["content"] ?? "", "base64").toString();
    if (key === "lfsFile" && lfs) lfs[value["path"] ?? ""] = value["oid"] ?? "";
  }
  const title = lines.find(({ key }) => key === "header")?.value["summary"] ?? "";
  return { title, files: files ?? {}, lfs: lfs ?? {} };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
