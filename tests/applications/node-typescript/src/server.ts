import { createServer } from "node:http";
import { greet } from "./greet.js";

const port = Number(process.env.PORT ?? 3000);

createServer((_, response) => {
  response.setHeader("content-type", "text/plain");
  response.end(greet("node-typescript"));
}).listen(port);
