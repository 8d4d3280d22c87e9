// A server without dependencies, whose routes are files: `routes/[slug].js` answers every path of one segment.
const { createServer } = require("node:http");
const { existsSync } = require("node:fs");
const { join } = require("node:path");

function route(path) {
  const name = path === "/" ? "index" : path.slice(1);
  const exact = join(__dirname, "routes", `${name}.js`);
  if (/^[a-z-]+$/.test(name) && existsSync(exact)) return require(exact)();
  if (/^[a-z-]+$/.test(name)) return require(join(__dirname, "routes", "[slug].js"))(name);
  return null;
}

createServer((request, response) => {
  const text = route(new URL(request.url, "http://localhost").pathname);
  response.writeHead(text === null ? 404 : 200, { "content-type": "text/plain" });
  response.end(text ?? "not found\n");
}).listen(process.env.PORT ?? 3000);
