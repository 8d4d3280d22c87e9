import express from "express";

const app = express();
const notes = [];

app.use(express.json());
app.get("/", (_, response) => response.type("text").send("Hello from node-express\n"));
app.get("/health", (_, response) => response.json({ status: "ok" }));
app.get("/notes", (_, response) => response.json(notes));
app.post("/notes", (request, response) => {
  notes.push(request.body);
  response.status(201).json(request.body);
});

app.listen(process.env.PORT || 3000);
