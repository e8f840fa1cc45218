"""In the manner of vLLM's example subscriber: SUBs, one Poller, and all is decoded.

Source: examples/online_serving/kv_events_subscriber.py; its one SUB is one for each publisher here.
"""

import zmq

from bench.contestants.seat import ORDERS, Heard, read_addresses, say


def run() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 10_000)
    say(ready=True)
    poller, sources, heard = zmq.Poller(), {}, Heard()
    for number, address in enumerate(read_addresses()):
        socket = context.socket(zmq.SUB)
        socket.connect(address.endpoint)
        socket.subscribe(b"")
        poller.register(socket, zmq.POLLIN)
        sources[socket] = number
    poller.register(ORDERS, zmq.POLLIN)
    while True:
        for ready, _ in poller.poll():
            if isinstance(ready, zmq.Socket):
                heard.take(sources[ready], ready.recv_multipart())
            elif ORDERS.readline():
                heard.say()
            else:
                return


if __name__ == "__main__":
    run()
