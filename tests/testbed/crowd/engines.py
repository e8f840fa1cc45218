"""``python -m testbed.crowd.engines HTTP EVENTS REPLAY``: the engines of all pods, at every address.

One PUB that says nothing, one ROUTER that answers each replay request with the end marker, and what
an idle vLLM 0.16 answers to ``GET /version`` and ``GET /metrics``.
"""

import asyncio
import resource
import sys

import zmq
import zmq.asyncio

from testbed.engine.layouts import layout_for
from testbed.engine.versions import Version
from testbed.engine.wire import replay_end

EVERYWHERE = "0.0.0.0"
LAYOUT = layout_for(Version(0, 16))
METRICS = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 0.0
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="tiny"} 0.0
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="tiny"} 0.0
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{engine="0",model_name="tiny"} 0.0
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",enable_prefix_caching="True",engine="0"} 1.0
"""
PAGES = {
    b"/version": ("application/json", '{"version":"0.16.0"}'),
    b"/metrics": ("text/plain", METRICS),
    b"/health": ("text/plain", ""),
}


def answer(request: bytes) -> bytes:
    """The whole answer to a request, by its first line."""
    path = request.split(b" ", 2)[1]
    if path not in PAGES:
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    kind, body = PAGES[path]
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer what comes over one connection, which is kept; no request has a body."""
    try:
        while True:
            writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def run(http: int, events: int, replay: int) -> None:
    """Serve until stdin ends."""
    context = zmq.asyncio.Context()
    publisher, router = context.socket(zmq.PUB), context.socket(zmq.ROUTER)
    for socket, port in ((publisher, events), (router, replay)):
        socket.setsockopt(zmq.BACKLOG, 4096)
        socket.bind(f"tcp://{EVERYWHERE}:{port}")
    server = await asyncio.start_server(serve, EVERYWHERE, http, backlog=4096)
    answering = asyncio.create_task(replay_all(router))
    print("up", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    answering.cancel()
    server.close()
    context.destroy(linger=0)


async def replay_all(router: zmq.asyncio.Socket) -> None:
    """Answer each request with the end marker."""
    while True:
        peer, *_ = await router.recv_multipart()
        await router.send_multipart([peer, *replay_end(LAYOUT)])


def main() -> None:
    """One process for all; each source has three connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(run(*map(int, sys.argv[1:])))


if __name__ == "__main__":
    main()
