"""Reads messages with h11 and says what it made of them; see reader.rs for the form of both."""

import sys

import h11

UNLIMITED = 1 << 24


class Stream:
    """The bytes of a connection, and how far they were read."""

    def __init__(self, role, data, ended):
        self.connection = h11.Connection(role, max_incomplete_event_size=UNLIMITED)
        self.length = len(data)
        self.will_end = ended
        self.has_ended = False
        if data:
            self.connection.receive_data(data)

    def next_event(self):
        event = self.connection.next_event()
        if event is h11.NEED_DATA and self.will_end and not self.has_ended:
            self.has_ended = True
            self.connection.receive_data(b"")
            event = self.connection.next_event()
        return event

    def say(self, event):
        kind = type(event)
        if kind in (h11.Response, h11.InformationalResponse):
            print("message", event.status_code, event.http_version.decode(), event.reason.hex())
        elif kind is h11.Request:
            print("message", event.method.hex(), event.target.hex(), event.http_version.decode())
        if kind in (h11.Response, h11.InformationalResponse, h11.Request):
            for name, value in event.headers:
                print("header", name.hex(), value.hex())
        elif kind is h11.Data:
            print("body", bytes(event.data).hex())
        elif kind is h11.EndOfMessage:
            for name, value in event.headers:
                print("trailer", name.hex(), value.hex())

    def complete(self, keeps):
        unread, _ = self.connection.trailing_data
        print("complete", self.length - len(unread), "keeps" if keeps else "closes")

    def tunnel(self):
        print("tunnel", self.connection.trailing_data[0].hex())


def response(asked, data, ended):
    stream = Stream(h11.CLIENT, data, ended)
    connection = stream.connection
    method, offer, _ = asked.partition("+")
    headers = [("Host", "a")]
    if offer:
        headers += [("Connection", "Upgrade"), ("Upgrade", "any")]
    connection.send(h11.Request(method=method, target="/", headers=headers))
    connection.send(h11.EndOfMessage())
    while True:
        event = stream.next_event()
        if connection.their_state is h11.SWITCHED_PROTOCOL and event is h11.PAUSED:
            return stream.tunnel()
        if event in (h11.NEED_DATA, h11.PAUSED) or type(event) is h11.ConnectionClosed:
            return
        stream.say(event)
        if type(event) is h11.InformationalResponse:
            stream.complete(True)
        elif type(event) is h11.EndOfMessage:
            # Whether the end of the connection was that of the body, h11 does not tell.
            return stream.complete(connection.their_state is h11.DONE and not stream.has_ended)


def requests(data, ended):
    stream = Stream(h11.SERVER, data, ended)
    connection = stream.connection
    while True:
        event = stream.next_event()
        if event is h11.PAUSED and connection.their_state is h11.MIGHT_SWITCH_PROTOCOL:
            return stream.tunnel()
        if event in (h11.NEED_DATA, h11.PAUSED) or type(event) is h11.ConnectionClosed:
            return
        stream.say(event)
        if type(event) is not h11.EndOfMessage:
            continue
        stream.complete(connection.their_state is not h11.MUST_CLOSE)
        if connection.their_state is h11.DONE:
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()
        elif connection.their_state is h11.MUST_CLOSE:
            return


for line in sys.stdin:
    kind, asked, data, ended = line.rstrip("\n").split("\t")
    try:
        if kind == "response":
            response(asked, bytes.fromhex(data), ended == "ended")
        else:
            requests(bytes.fromhex(data), ended == "ended")
    except h11.ProtocolError as error:
        print("error", str(error).replace("\n", " "))
    print(".", flush=True)
