// A Node tenant's first application. Replace it with your own; what the platform relies on is that the
// application listens on PORT on all addresses, answers GET /health, and stops on SIGTERM.
import express from "express";

const port = Number(process.env.PORT ?? 3000);
const tenant = {
  id: process.env.TENANT_ID ?? "unknown",
  name: process.env.TENANT_NAME ?? "unknown",
};

function log(level, message) {
  const time = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  console.log(`${time} [${level}] ${message}`);
}

const app = express();
app.disable("x-powered-by");
app.use(express.json());

app.get("/health", (request, response) => {
  response.json({ status: "ok" });
});

app.get("/", (request, response) => {
  response.json({
    message: `Hello from ${tenant.name}`,
    tenant,
    language: "node",
    framework: "express",
  });
});

app.use((request, response) => {
  response.status(404).json({ error: `nothing at ${request.path}` });
});

// Express knows an error handler by its four parameters.
app.use((error, request, response, next) => {
  const status = error.status ?? 500;
  if (status >= 500) {
    log("ERROR", `${request.method} ${request.path}: ${error.stack ?? error}`);
  }
  response.status(status).json({ error: status >= 500 ? "internal error" : error.message });
});

const server = app.listen(port, "0.0.0.0", (error) => {
  if (error) {
    log("ERROR", `Cannot listen on port ${port}: ${error.message}`);
    process.exit(1);
  }
  log("INFO", `Listening on port ${port}`);
});

// Answers under way are finished for at most a second; idle connections are closed at once.
function stop(signal) {
  log("INFO", `Stopping on ${signal}`);
  server.close(() => process.exit(0));
  server.closeIdleConnections();
  setTimeout(() => process.exit(0), 1000).unref();
}

process.once("SIGTERM", () => stop("SIGTERM"));
process.once("SIGINT", () => stop("SIGINT"));
