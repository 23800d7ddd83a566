"""A WSGI application behind Python's wsgiref, on the port that the first argument names. It tells who it takes the client to be."""

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server


class Handler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def app(environ, start_response):
    # It trusts who is on this machine, as many do.
    is_local = environ["REMOTE_ADDR"] == "127.0.0.1"
    told = environ.get("HTTP_X_FORWARDED_FOR", "none") if is_local else "none"
    body = f"{told}|{environ.get('HTTP_X_FORWARDED_HOST', 'none')}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


make_server("127.0.0.1", int(sys.argv[1]), app, handler_class=Handler).serve_forever()
