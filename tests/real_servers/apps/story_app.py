"""A middleware that is to remove Server, and cannot: see docs/the-story.md."""

from fastapi import FastAPI, Request

app = FastAPI()


@app.middleware("http")
async def without_server(request: Request, call_next):
    response = await call_next(request)
    # This runs too early: uvicorn writes the line behind it, when the response leaves.
    response.headers["x-seen-by-middleware"] = "server" if "server" in response.headers else "no server"
    if "server" in response.headers:
        del response.headers["server"]
    return response


@app.get("/hello")
async def hello():
    return {"hello": "world"}
