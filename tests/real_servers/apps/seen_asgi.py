"""The ASGI application behind servers that read by h11 0.14.

It tells what it was asked, so that a request that nobody sent shows: each answer says so in X-Seen, and /seen lists all.
"""

BODY = b"x" * 600

seen: list[str] = []


async def app(scope, receive, send) -> None:
    if scope["type"] != "http":
        return
    asked = f"{scope['method']} {scope['path']}"
    if scope["path"] == "/seen":
        body = "\n".join(seen).encode()
    else:
        seen.append(asked)
        body = BODY
    while (await receive()).get("more_body", False):
        pass
    fields = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(body)).encode()),
        (b"x-powered-by", b"ASGI"),
        (b"x-seen", asked[:100].encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
