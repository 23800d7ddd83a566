"""Python's own http.server on the port that the first argument names: HTTP/1.0, one request a connection.

GET and HEAD serve the files of the folder that the second argument names, as `python3 -m http.server` does;
/until-close is a body of no told length; POST is not supported and is answered with its body unread.
"""

import functools
import http.server
import sys


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/until-close":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        for first in range(0, 300_000, 500):
            self.wfile.write(b"".join(b"%08d\r\n" % number for number in range(first, first + 500)))
        self.wfile.write(b"Server: decoy\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


handler = functools.partial(Handler, directory=sys.argv[2])
with http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler) as server:
    server.serve_forever()
