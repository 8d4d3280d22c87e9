// Asks the server for files of a site that is made for each test: `node --test`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";

const FILES = {
  "index.html": "<p>home",
  "about.html": "<p>about",
  "docs/index.html": "<p>docs",
  "assets/index-DiwrgTda.js": "let a;",
  "assets/index-DiwrgTda.js.map": "{}",
  "assets/my-holidays.jpg": "jpeg",
  "static/css/main.8f3c2a1b.css": "p {}",
  "downloads/index-DiwrgTda.js": "let b;",
  "video.mp4": "0123456789",
  "empty.txt": "",
  ".env": "SECRET=1",
  ".well-known/security.txt": "Contact: x",
  "a b.txt": "space",
};

let folder;
let server;
let port;

function write(root, files) {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), text);
  }
}

async function start(root) {
  const child = spawn(process.execPath, [fileURLToPath(new URL("serve.mjs", import.meta.url)), root], {
    env: { PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await Promise.race([child.stdout.take(1).toArray(), new Promise((_, reject) => child.once("exit", reject))]);
  return [child, Number(/port (\d+)/.exec(line)[1])];
}

// `fetch` would tidy up the path before it asks.
function ask(target, { method = "GET", headers = {}, at = port } = {}) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port: at, path: target, method, headers, agent: false }, async (answer) => {
      const body = Buffer.concat(await answer.toArray()).toString();
      resolve({ status: answer.statusCode, headers: answer.headers, body });
    });
    sent.on("error", reject);
    sent.end();
  });
}

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "serve-"));
  write(folder, { "secret.txt": "outside" });
  write(path.join(folder, "site"), FILES);
  symlinkSync(path.join(folder, "secret.txt"), path.join(folder, "site", "link.txt"));
  symlinkSync(path.join(folder, "site", "about.html"), path.join(folder, "site", "inside.html"));
  write(path.join(folder, "pages"), { "index.html": "home", "404.html": "<p>lost" });
  [server, port] = await start(path.join(folder, "site"));
});

after(() => {
  server.kill();
  rmSync(folder, { recursive: true });
});

test("files, folders and names without their ending", async () => {
  for (const [target, body] of [
    ["/", "<p>home"],
    ["/index.html", "<p>home"],
    ["/about", "<p>about"],
    ["/about?x=1#y", "<p>about"],
    ["/docs/", "<p>docs"],
    ["/a%20b.txt", "space"],
    ["/empty.txt", ""],
    ["/inside.html", "<p>about"],
    ["/.well-known/security.txt", "Contact: x"],
  ]) {
    const answer = await ask(target);
    assert.equal(answer.status, 200, target);
    assert.equal(answer.body, body, target);
    assert.equal(answer.headers["x-content-type-options"], "nosniff");
  }
  assert.equal((await ask("/")).headers["content-type"], "text/html; charset=utf-8");
});

test("a folder without its slash is sent on, and never to another host", async () => {
  const answer = await ask("/docs?a=b");
  assert.equal(answer.status, 308);
  assert.equal(answer.headers.location, "/docs/?a=b");
  assert.equal((await ask("//docs")).headers.location, "/docs/");
});

test("an unknown path is the application's, an unknown file is not", async () => {
  const page = await ask("/users/7");
  assert.equal(page.status, 200);
  assert.equal(page.body, "<p>home");
  assert.equal(page.headers["cache-control"], "no-cache");
  assert.equal((await ask("/assets/gone-DiwrgTda.js")).status, 404);
});

test("a site with a page of its own for what is missing has no application", async () => {
  const [other, at] = await start(path.join(folder, "pages"));
  try {
    const answer = await ask("/users/7", { at });
    assert.equal(answer.status, 404);
    assert.equal(answer.body, "<p>lost");
  } finally {
    other.kill();
  }
});

test("nothing outside of the folder and nothing hidden is served", async () => {
  for (const target of [
    "/../secret.txt",
    "/%2e%2e/secret.txt",
    "/..%2fsecret.txt",
    "/docs/../../secret.txt",
    "/..\\secret.txt",
    "/%5c..%5csecret.txt",
    "/link.txt",
    "/.env",
    "/docs/.well-known/x",
    "/%00",
    "/%ff",
    "/index.html%00.js",
  ]) {
    const answer = await ask(target);
    assert.equal(answer.status, 404, target);
    assert.ok(!answer.body.includes("outside") && !answer.body.includes("SECRET"), target);
  }
});

test("files with a hash are kept, others are asked for again", async () => {
  const kept = "public, max-age=31536000, immutable";
  for (const [target, expected] of [
    ["/assets/index-DiwrgTda.js", kept],
    ["/assets/index-DiwrgTda.js.map", kept],
    ["/static/css/main.8f3c2a1b.css", kept],
    ["/assets/my-holidays.jpg", "no-cache"],
    ["/downloads/index-DiwrgTda.js", "no-cache"],
    ["/about.html", "no-cache"],
  ]) {
    assert.equal((await ask(target)).headers["cache-control"], expected, target);
  }
  const first = await ask("/about.html");
  const again = await ask("/about.html", { headers: { "if-none-match": `"x", W/${first.headers.etag}` } });
  assert.equal(again.status, 304);
  assert.equal(again.body, "");
});

test("parts of a file", async () => {
  for (const [range, status, body] of [
    ["bytes=2-4", 206, "234"],
    ["bytes=7-", 206, "789"],
    ["bytes=-2", 206, "89"],
    ["bytes=5-99", 206, "56789"],
    ["bytes=10-", 416, undefined],
    ["bytes=-0", 416, undefined],
    ["lines=1-2", 200, "0123456789"],
  ]) {
    const answer = await ask("/video.mp4", { headers: { range } });
    assert.equal(answer.status, status, range);
    if (body !== undefined) assert.equal(answer.body, body, range);
  }
  const changed = await ask("/video.mp4", { headers: { range: "bytes=2-4", "if-range": '"old"' } });
  assert.equal(changed.status, 200);
});

test("methods", async () => {
  const head = await ask("/video.mp4", { method: "HEAD" });
  assert.equal(head.headers["content-length"], "10");
  assert.equal(head.body, "");
  const post = await ask("/", { method: "POST" });
  assert.equal(post.status, 405);
  assert.equal(post.headers.allow, "GET, HEAD");
});

test("it stops when asked", async () => {
  const [child] = await start(path.join(folder, "pages"));
  child.kill("SIGTERM");
  const code = await new Promise((resolve) => child.once("exit", resolve));
  assert.equal(code, 0);
});
