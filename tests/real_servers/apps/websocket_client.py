"""A real WebSocket client: sends messages to the echo service at the URL given and checks what comes back.

Many short messages, then some of several MB, text and binary, then a clean close. The head of the 101 must hold
no denied field line.
"""

import array
import sys
import threading

from websockets.sync.client import connect

SHORT = 500
LONG = 4_000_000
SECONDS = 30


def messages():
    for number in range(SHORT):
        yield f"message {number}\r\nServer: decoy\r\n"
        yield number.to_bytes(2, "big") * (number + 1)
    yield "0123456789abcdef" * (LONG // 16)
    yield array.array("I", range(LONG // 4)).tobytes()
    yield ""
    yield "the last"


def main(url: str) -> None:
    # No limit on the size of a message: the long ones are what is tested. No deflate: the bytes are to be long.
    with connect(url, max_size=None, compression=None, proxy=None, open_timeout=SECONDS) as client:
        names = [name.lower() for name, _ in client.response.headers.raw_items()]
        denied = [name for name in names if name in ("server", "x-powered-by")]
        assert not denied, f"the 101 holds {denied}"
        assert "sec-websocket-accept" in names, names

        # Sent in a thread of its own, so that both directions are full at once.
        sender = threading.Thread(target=lambda: [client.send(message) for message in messages()], daemon=True)
        sender.start()
        for number, expected in enumerate(messages()):
            received = client.recv(timeout=SECONDS)
            assert received == expected, f"message {number} came back changed"
        sender.join(SECONDS)
    assert client.close_code == 1000, client.close_code


main(sys.argv[1])
