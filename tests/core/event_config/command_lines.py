"""Command lines with a configuration in any form, among other arguments."""

import json

from hypothesis import strategies as st

from core.event_config.configs import RIGHT, Json

Chunks = list[list[str]]
ENDPOINTS = ["tcp://*:5557", "tcp://[::]:5557", "tcp://*:6000", "tcp://0.0.0.0:5557", "ipc:///x"]
REPLAYS = [None, "", "tcp://*:5558", "tcp://0.0.0.0:5558", "tcp://*:6001", "tcp://127.0.0.1:5558"]

SIZES = st.sampled_from([0, 1, 10000, 100000, 2**31 - 1]).flatmap(
    lambda n: st.sampled_from([n, float(n), str(n)])
)

TOPICS = st.sampled_from(["", "kv", "kv@10.0.0.1@m", "k"]) | st.text('a1.=+-_ "\\{}é', max_size=6)

ANY_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "enable_kv_cache_events": st.sampled_from([True, False, "true", "Off", 1, 0]),
        "publisher": st.sampled_from(["zmq", "zmq", "null"]),
        "endpoint": st.sampled_from(ENDPOINTS),
        "replay_endpoint": st.sampled_from(REPLAYS),
        "buffer_steps": SIZES,
        "hwm": SIZES,
        "max_queue_size": SIZES,
        "topic": TOPICS,
    },
)

# Half of them lack nothing, so that what is right is met too.
SETTINGS = ANY_SETTINGS | ANY_SETTINGS.map(lambda settings: {**settings, **RIGHT})

NAMES = st.sampled_from(
    ["--kv-events-config", "--kv_events_config", "--kv-events", "--kv_events-c", "--kv-e"]
)

OTHERS = st.lists(
    st.sampled_from(
        [
            ["--port=8001"],
            ["--max-model-len", "4096"],
            ["--served-model-name=a.b"],
            ["--override-generation-config", '{"kv_events":1.5}'],
            ["--hf-overrides.a.b_c", "--kv-events-config"],
            ["--kv-transfer-config={}"],
            ["--kv-cache-dtype", "auto"],
            ["--no-enable-prefix-caching"],
        ]
    ),
    max_size=3,
)


@st.composite
def whole(draw: st.DrawFn) -> list[str]:
    """One JSON value, in one or two words."""
    texts = st.sampled_from(["", "None"]) | SETTINGS.map(json.dumps)
    name, text = draw(NAMES), draw(texts)
    return [f"{name}={text}"] if draw(st.booleans()) else [name, text]


@st.composite
def dotted(draw: st.DrawFn, settings: st.SearchStrategy[Json] = SETTINGS) -> Chunks:
    """A configuration in dotted arguments of one spelling."""
    name, chunks = draw(NAMES), []
    for key, value in draw(settings).items():
        text = value if str(value).startswith(("kv", "tcp")) else json.dumps(value)
        flag = f"{name}.{key}"
        chunks.append([f"{flag}={text}"] if draw(st.booleans()) else [flag, text])
    return chunks


@st.composite
def command_lines(draw: st.DrawFn, chunks: st.SearchStrategy[Chunks]) -> list[str]:
    """A whole command line with these pieces somewhere among others."""
    mixed = draw(st.permutations([*draw(chunks), *draw(OTHERS)]))
    return ["serve", "tiny", *(word for chunk in mixed for word in chunk)]


ONE_FORM = command_lines(st.lists(whole(), min_size=1, max_size=3) | dotted())

ANY_FORM = ONE_FORM | command_lines(
    st.tuples(st.lists(whole(), max_size=2), dotted(), dotted()).map(
        lambda t: [*t[0], *t[1], *t[2]]
    )
)
