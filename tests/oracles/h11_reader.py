"""Reads messages with h11 and says what it made of them; see main.rs for the form of both."""

import sys

import h11


def say(event, connection):
    kind = type(event)
    if kind in (h11.Response, h11.InformationalResponse):
        print("message", event.status_code)
    elif kind is h11.Request:
        print("message", event.method.hex(), event.target.hex())
    if kind in (h11.Response, h11.InformationalResponse, h11.Request):
        for name, value in event.headers:
            print("header", name.hex(), value.hex())
    elif kind is h11.Data:
        print("body", bytes(event.data).hex())
    elif kind is h11.EndOfMessage:
        for name, value in event.headers:
            print("trailer", name.hex(), value.hex())
    if kind in (h11.InformationalResponse, h11.EndOfMessage):
        print("complete")


def responses(methods, data, ended):
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    if ended:
        connection.receive_data(b"")
    for method in methods:
        headers = [("Host", "a")]
        name = method
        if method in ("websocket", "h2c"):
            headers += [("Connection", "Upgrade"), ("Upgrade", method)]
            name = "GET"
        connection.send(h11.Request(method=name, target="/", headers=headers))
        connection.send(h11.EndOfMessage())
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                # The end, between messages.
                if "event type ConnectionClosed" in str(error):
                    return
                raise
            if event in (h11.NEED_DATA, h11.PAUSED):
                if connection.their_state is h11.SWITCHED_PROTOCOL:
                    print("tunnel", connection.trailing_data[0].hex())
                return
            if type(event) is h11.ConnectionClosed:
                return
            say(event, connection)
            if type(event) is h11.EndOfMessage:
                break
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return
        connection.start_next_cycle()


def requests(data, ended):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    if ended:
        connection.receive_data(b"")
    while True:
        event = connection.next_event()
        if event is h11.PAUSED and connection.their_state is h11.MIGHT_SWITCH_PROTOCOL:
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            event = None
        elif event in (h11.NEED_DATA, h11.PAUSED) or type(event) is h11.ConnectionClosed:
            return
        if event is not None:
            say(event, connection)
            if type(event) is h11.EndOfMessage and connection.our_state is h11.SEND_RESPONSE:
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()
        elif connection.our_state is h11.MUST_CLOSE and connection.their_state is h11.MUST_CLOSE:
            return


for line in sys.stdin:
    kind, methods, data, ended = line.rstrip("\n").split("\t")
    try:
        if kind == "responses":
            responses(methods.split(","), bytes.fromhex(data), ended == "ended")
        else:
            requests(bytes.fromhex(data), ended == "ended")
    except h11.ProtocolError as error:
        print("error", str(error).replace("\n", " "))
    print(".", flush=True)
