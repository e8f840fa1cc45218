"""The shape of the gateway's log lines."""

import io
from datetime import UTC, datetime

from testbed.gateway.klog import Klog


def test_lines_have_klogs_shape() -> None:
    stream = io.StringIO()
    log = Klog(stream, lambda: datetime(2026, 11, 22, 23, 47, 40, 123456, UTC))
    for write in (log.info, log.warning, log.error):
        write("file.go:123", "words")
    assert stream.getvalue().splitlines() == [
        f"{severity}1122 23:47:40.123456       1 file.go:123] words" for severity in "IWE"
    ]
