const Koa = require("koa");

const app = new Koa();

app.use(async (context, next) => {
  const began = Date.now();
  await next();
  context.set("x-response-time", `${Date.now() - began}ms`);
});
app.use((context) => {
  context.body = "Hello from node-koa\n";
});

app.listen(process.env.PORT || 3000);
