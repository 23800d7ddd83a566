"""aiohttp's own server on the port that the first argument names. Its handler leaves the request's body unread.

It tells what it was asked, so that a request that nobody sent shows: each answer says so in X-Seen, and /seen lists all.
"""

import sys

from aiohttp import web

BODY = "x" * 600

seen: list[str] = []


async def handle(request: web.Request) -> web.Response:
    asked = f"{request.method} {request.path}"
    if request.path == "/seen":
        text = "\n".join(seen)
    else:
        seen.append(asked)
        text = BODY
    return web.Response(text=text, headers={"X-Powered-By": "aiohttp", "X-Seen": asked[:100]})


app = web.Application()
app.router.add_route("*", "/{target:.*}", handle)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
