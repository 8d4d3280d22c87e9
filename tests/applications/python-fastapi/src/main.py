from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="python-fastapi")


class Sum(BaseModel):
    a: int
    b: int


@app.get("/")
async def index() -> dict[str, str]:
    return {"message": "Hello from python-fastapi"}


@app.post("/sum")
async def add(numbers: Sum) -> int:
    return numbers.a + numbers.b
