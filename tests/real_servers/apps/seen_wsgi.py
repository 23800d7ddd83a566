"""The WSGI application behind gunicorn 21.2 and cheroot.

It tells what it was asked, so that a request that nobody sent shows: each answer says so in X-Seen, and /seen lists all.
"""

import threading

BODY = b"x" * 600

seen: list[str] = []
lock = threading.Lock()


def app(environ, start_response):
    asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
    if not environ["PATH_INFO"].startswith("/unread"):
        environ["wsgi.input"].read()
    with lock:
        if environ["PATH_INFO"] == "/seen":
            body = "\n".join(seen).encode()
        else:
            seen.append(asked)
            body = BODY
    start_response(
        "200 OK",
        [
            ("Content-Type", "text/plain"),
            ("Content-Length", str(len(body))),
            ("X-Powered-By", "WSGI"),
            # An answer of one's own is told by it; what stands in a smuggled line must not end this one.
            ("X-Seen", asked[:100]),
        ],
    )
    # No body is given to HEAD, as Werkzeug does it.
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def serve(port: int) -> None:
    """On cheroot, which is started by a program of one's own."""
    from cheroot.wsgi import Server

    server = Server(("127.0.0.1", port), app, server_name="cheroot")
    try:
        server.start()
    finally:
        server.stop()


if __name__ == "__main__":
    import sys

    serve(int(sys.argv[1]))
