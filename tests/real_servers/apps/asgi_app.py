"""The ASGI application behind uvicorn, gunicorn and Hypercorn.

Its answers do not depend on time or chance, so that two runs of a request can be compared byte by byte.
Long bodies are the counter 0, 1, 2, ... as four bytes each: loss, swap and repeat of any part show.
"""

import array
import asyncio
import collections
import hashlib
import sys

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel

app = FastAPI()

# Text that a proxy must leave alone, since it stands in a body.
DECOY = (
    b"HTTP/1.1 200 OK\r\nServer: decoy\r\nX-Powered-By: decoy\r\nContent-Length: 0\r\n\r\n"
    b"0\r\nServer: decoy\r\n\r\nServer: decoy\r\n"
)

# One gate for each stream of /events: its second event waits until the gate is opened.
gates: dict[str, asyncio.Event] = collections.defaultdict(asyncio.Event)


def counter(length: int) -> bytes:
    words = array.array("I", range((length + 3) // 4))
    assert words.itemsize == 4
    if sys.byteorder == "little":
        words.byteswap()
    return words.tobytes()[:length]


@app.get("/hello")
@app.head("/hello")
async def hello() -> Response:
    return JSONResponse({"hello": "world"})


@app.get("/fail")
async def fail() -> Response:
    raise RuntimeError("on purpose")


@app.get("/empty")
async def empty() -> Response:
    return Response(status_code=204)


@app.get("/unchanged")
async def unchanged() -> Response:
    return Response(status_code=304, headers={"etag": '"1"'})


class Item(BaseModel):
    name: str


@app.post("/items", status_code=201)
async def create(item: Item, response: Response) -> Item:
    """A 201, or a 422 where the body is no item."""
    response.headers["location"] = "/items/1"
    return item


@app.post("/form")
async def form() -> Response:
    return RedirectResponse("/hello", status_code=303)


@app.get("/fields")
async def fields() -> Response:
    """Denied lines of the application's own, in odd case, and lines that only look like them."""
    response = Response(b"fields\n", media_type="text/plain")
    response.raw_headers += [
        (b"SeRVeR", b"one"),
        (b"x-server", b"kept"),
        (b"X-POWERED-BY", b"FastAPI"),
        (b"server-timing", b"kept;dur=1"),
        (b"x-powered-by-whom", b"kept"),
        (b"x_powered_by", b"kept"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"a=1"),
        (b"server", b""),
    ]
    return response


@app.get("/decoy")
async def decoy() -> Response:
    return Response(DECOY, media_type="text/plain")


@app.get("/decoy-stream")
async def decoy_stream() -> Response:
    async def parts():
        for at in range(0, len(DECOY), 7):
            yield DECOY[at : at + 7]
        yield DECOY

    return StreamingResponse(parts(), media_type="text/plain")


@app.get("/download/{length}")
async def download(length: int) -> Response:
    return Response(counter(length), media_type="application/octet-stream")


@app.get("/stream/{length}")
async def stream(length: int) -> Response:
    """Parts of growing size, each of which the server sends as a chunk of its own."""

    async def parts():
        body, at, size = counter(length), 0, 1
        while at < length:
            yield body[at : at + size]
            at, size = at + size, min(size * 2 + 1, 200_000)

    return StreamingResponse(parts(), media_type="application/octet-stream")


@app.get("/broken")
async def broken() -> Response:
    async def parts():
        yield b"a part, "
        raise RuntimeError("on purpose, within the body")

    return StreamingResponse(parts(), media_type="text/plain")


@app.get("/events/{key}")
async def events(key: str) -> Response:
    async def parts():
        yield b"data: one\n\n"
        await asyncio.wait_for(gates[key].wait(), timeout=30)
        yield b"data: two\n\n"

    return StreamingResponse(parts(), media_type="text/event-stream")


@app.post("/events/{key}/release")
async def release(key: str) -> Response:
    gates[key].set()
    return Response(status_code=204)


@app.post("/upload")
async def upload(request: Request) -> Response:
    digest, length = hashlib.sha256(), 0
    async for part in request.stream():
        digest.update(part)
        length += len(part)
    return JSONResponse({"length": length, "sha256": digest.hexdigest()})


class Echo(Response):
    """Sends the body back as it comes in. Its length is told, so chunk boundaries do not vary.

    Not a StreamingResponse: that one listens for the client's leaving, and so takes parts of the body itself.
    """

    def __init__(self, length: str) -> None:
        super().__init__(headers={"content-length": length}, media_type="application/octet-stream")

    async def __call__(self, scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        more = True
        while more:
            message = await receive()
            assert message["type"] == "http.request", "the client left"
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})


@app.post("/echo")
async def echo(request: Request) -> Response:
    return Echo(request.headers["content-length"])


@app.websocket("/ws")
async def websocket(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            else:
                await socket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        pass
