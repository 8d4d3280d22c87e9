import { createServer } from "node:http";
import escape from "escape-html";
import { greeting } from "@monorepo/words";

createServer((request, response) => {
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end(`<p>${greeting("node-monorepo")}</p><p>${escape(request.url)}</p>\n`);
}).listen(process.env.PORT ?? 3000);
