/** `GET /openapi.json`: the routes and what they take, made from the shapes that requests are checked with. */
import { versions } from "@zerogate/run-config";
import * as z from "zod";
import type { Reply } from "./call.ts";
import type { Route } from "./routes.ts";

/** @param routes All of them. */
export function openApi(routes: readonly Pick<Route, "method" | "path" | "about" | "shape">[]): Reply {
  const paths: Record<string, Record<string, object>> = {};
  for (const { method, path, about, shape } of routes) {
    const name = /:(\w+)$/.exec(path)?.[1];
    const own = (paths[path.replace(/:(\w+)$/, "{$1}")] ??= {});
    own[method.toLowerCase()] = {
      summary: about,
      ...(name !== undefined && {
        parameters: [{ name, in: "path", required: true, schema: { type: "string" } }],
      }),
      ...(shape && {
        requestBody: { required: true, content: { "application/json": { schema: bodySchema(shape.schema) } } },
      }),
      responses: {
        "200": { description: "done" },
        default: { description: 'error: {"error": {message, type, param, code}}' },
      },
    };
  }
  return { body: { openapi: "3.1.0", info: { title: "Zerogate", version: versions.zerogate }, paths } };
}

const bodySchema = (schema: z.ZodType): object => z.toJSONSchema(schema, { io: "input" });
