import Fastify from "fastify";

const app = Fastify({ logger: true });

app.get("/", async () => "Hello from node-fastify\n");
app.get("/items/:id", {
  schema: { params: { type: "object", properties: { id: { type: "integer" } } } },
  handler: async (request) => ({ id: request.params.id }),
});

// Fastify listens to this machine only, unless it is told otherwise; HOST is what the platform sets.
await app.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST ?? "0.0.0.0" });
