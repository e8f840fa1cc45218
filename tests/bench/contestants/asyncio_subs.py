"""What one writes first: a SUB of zmq.asyncio and a task for each publisher; all is decoded."""

import asyncio

import zmq
import zmq.asyncio

from bench.contestants.seat import ORDERS, Heard, read_addresses, say


async def listen(socket: zmq.asyncio.Socket, source: int, heard: Heard) -> None:
    while True:
        heard.take(source, await socket.recv_multipart())


async def run() -> None:
    context = zmq.asyncio.Context()
    context.set(zmq.MAX_SOCKETS, 10_000)
    say(ready=True)
    addresses, heard = read_addresses(), Heard()
    tasks = []
    for number, address in enumerate(addresses):
        socket = context.socket(zmq.SUB)
        socket.subscribe(b"")
        socket.connect(address.endpoint)
        tasks.append(asyncio.create_task(listen(socket, number, heard)))
    over = asyncio.Event()

    def asked() -> None:
        if ORDERS.readline():
            heard.say()
        else:
            over.set()

    asyncio.get_running_loop().add_reader(ORDERS.fileno(), asked)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(run())
