// Serves the files of one folder: `node serve.mjs FOLDER`, on the port in PORT. It needs nothing but Node.
//
// - A path that is no file gets index.html, so that the application in it can show what belongs there. A path that
//   looks like a file (it has an ending) gets 404 instead: a browser that asks for a script must not be given a page.
//   A site with a 404.html of its own has no such application, and gets that page.
// - Files with a hash in their name, in the folders where build tools put these, are kept by browsers for a year.
//   Everything else is asked for again each time, and answered with 304 when it did not change.
// - Nothing outside of the folder is served, nor any file whose path has a part that begins with a dot, but for
//   /.well-known/.

import { createHash } from "node:crypto";
import { createReadStream, realpathSync, promises as fs } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";

const root = realpathSync(process.argv[2] ?? "site");
const port = Number(process.env.PORT ?? 3000);

const TYPES = {
  ".avif": "image/avif",
  ".css": "text/css; charset=utf-8",
  ".csv": "text/csv; charset=utf-8",
  ".gif": "image/gif",
  ".htm": "text/html; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".jpeg": "image/jpeg",
  ".jpg": "image/jpeg",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".md": "text/markdown; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".mp3": "audio/mpeg",
  ".mp4": "video/mp4",
  ".ogg": "audio/ogg",
  ".otf": "font/otf",
  ".pdf": "application/pdf",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".ttf": "font/ttf",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webm": "video/webm",
  ".webmanifest": "application/manifest+json",
  ".webp": "image/webp",
  ".woff": "font/woff",
  ".woff2": "font/woff2",
  ".xml": "application/xml; charset=utf-8",
};

// Folders that build tools write to; a name made by a person seldom stands there.
const BUILT = /(^|\/)(assets|static|_app\/immutable|_astro|_next\/static|_nuxt)\//;

// 8 to 64 hexadecimal digits, or the 8 letters and digits of Vite and Rollup.
const HEXADECIMAL = /[.-](?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,64}\.[a-z0-9.]+$/;
const BASE64 = /[.-](?=[A-Za-z0-9_-]*[a-z])[A-Za-z0-9_-](?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{7}\.[a-z0-9.]+$/;

function isImmutable(name) {
  return BUILT.test(name) && (HEXADECIMAL.test(name) || BASE64.test(name));
}

// The parts of a request's path; undefined when it is not one that may be served.
function partsOf(url) {
  let text;
  try {
    text = decodeURIComponent(url.split(/[?#]/, 1)[0]);
  } catch {
    return undefined;
  }
  if (!text.startsWith("/") || /[\0\\]/.test(text)) {
    return undefined;
  }
  const parts = text.split("/").filter((part) => part !== "");
  const isHidden = (part, index) => part.startsWith(".") && !(index === 0 && part === ".well-known");
  return parts.some(isHidden) ? undefined : parts;
}

// A regular file or a folder below the root, links followed; undefined when there is none.
async function find(...parts) {
  try {
    const place = await fs.realpath(path.join(root, ...parts));
    if (place !== root && !place.startsWith(root + path.sep)) {
      return undefined;
    }
    const status = await fs.stat(place);
    return status.isFile() || status.isDirectory() ? { place, status, name: parts.join("/") } : undefined;
  } catch {
    return undefined;
  }
}

async function findFile(...parts) {
  const found = await find(...parts);
  return found?.status.isFile() ? found : undefined;
}

// The files do not change while the service runs. Their times say nothing: a build may set them all to the same.
const tags = new Map();

async function tagOf(file) {
  let tag = tags.get(file.place);
  if (tag === undefined) {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(file.place)) {
      hash.update(chunk);
    }
    tag = `"${hash.digest("base64url")}"`;
    tags.set(file.place, tag);
  }
  return tag;
}

// `bytes=a-b` as [first, last]; undefined for the whole file; null when nothing of it is in the file.
function rangeOf(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) {
    return undefined;
  }
  const first = match[1] === "" ? Math.max(size - Number(match[2]), 0) : Number(match[1]);
  const last = match[1] === "" || match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
  return first <= last ? [first, last] : null;
}

function plain(response, status, text, headers = {}) {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-cache", ...headers });
  response.end(`${text}\n`);
}

async function send(request, response, file, status = 200) {
  const size = file.status.size;
  const tag = await tagOf(file);
  const headers = {
    "accept-ranges": "bytes",
    "cache-control": isImmutable(file.name) ? "public, max-age=31536000, immutable" : "no-cache",
    "content-type": TYPES[path.extname(file.place).toLowerCase()] ?? "application/octet-stream",
    etag: tag,
    "x-content-type-options": "nosniff",
  };
  const known = (request.headers["if-none-match"] ?? "").split(",").map((one) => one.trim().replace(/^W\//, ""));
  if (status === 200 && (known.includes(tag) || known.includes("*"))) {
    response.writeHead(304, headers);
    response.end();
    return;
  }
  const isSame = [undefined, tag].includes(request.headers["if-range"]);
  const range = status === 200 && isSame ? rangeOf(request.headers.range, size) : undefined;
  if (range === null) {
    plain(response, 416, "This range is not in the file.", { "content-range": `bytes */${size}` });
    return;
  }
  const [first, last] = range ?? [0, size - 1];
  headers["content-length"] = last - first + 1;
  if (range) {
    headers["content-range"] = `bytes ${first}-${last}/${size}`;
  }
  response.writeHead(range ? 206 : status, headers);
  if (request.method === "HEAD" || size === 0) {
    response.end();
    return;
  }
  const stream = createReadStream(file.place, { start: first, end: last });
  stream.on("error", () => response.destroy());
  response.on("close", () => stream.destroy());
  stream.pipe(response);
}

async function answer(request, response) {
  if (request.method !== "GET" && request.method !== "HEAD") {
    plain(response, 405, "Only GET and HEAD are answered.", { allow: "GET, HEAD" });
    return;
  }
  const parts = partsOf(request.url);
  if (parts === undefined) {
    plain(response, 404, "There is no such file.");
    return;
  }
  const found = await find(...parts);
  if (found?.status.isFile()) {
    await send(request, response, found);
    return;
  }
  const index = found && (await findFile(...parts, "index.html"));
  if (index) {
    const [asked, query] = request.url.split(/\?(.*)/s, 2);
    if (asked.endsWith("/")) {
      await send(request, response, index);
    } else {
      // Links of the page are relative to the folder. Built from its parts, the address cannot lead to another host.
      const folder = `/${parts.map(encodeURIComponent).join("/")}/`;
      plain(response, 308, folder, { location: query === undefined ? folder : `${folder}?${query}` });
    }
    return;
  }
  const last = parts.at(-1) ?? "";
  const page = last !== "" && (await findFile(...parts.slice(0, -1), `${last}.html`));
  if (page) {
    await send(request, response, page);
    return;
  }
  const missing = await findFile("404.html");
  const application = missing || path.extname(last) !== "" ? undefined : await findFile("index.html");
  if (application) {
    await send(request, response, application);
  } else if (missing) {
    await send(request, response, missing, 404);
  } else {
    plain(response, 404, "There is no such file.");
  }
}

function log(level, message) {
  const time = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  console.log(`${time} [${level}] ${message}`);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    log("ERROR", `${request.method} ${request.url}: ${error.stack ?? error}`);
    if (response.headersSent) {
      response.destroy();
    } else {
      plain(response, 500, "The file could not be read.");
    }
  });
});

server.on("error", (error) => {
  log("ERROR", `Cannot listen on port ${port}: ${error.message}`);
  process.exit(1);
});

server.listen(port, "0.0.0.0", () => log("INFO", `Listening on port ${server.address().port}`));

// Answers that are being sent have a second to finish; idle connections are closed at once.
function stop(signal) {
  log("INFO", `Stopping on ${signal}`);
  server.close(() => process.exit(0));
  server.closeIdleConnections();
  setTimeout(() => process.exit(0), 1000).unref();
}

process.once("SIGTERM", () => stop("SIGTERM"));
process.once("SIGINT", () => stop("SIGINT"));
