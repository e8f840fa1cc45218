"""What an operator leaves in the process of its run is told."""

import socket
import threading
from contextlib import ExitStack

from chaos.workers import SLACK, leftovers, open_files


def test_a_process_that_holds_no_more_than_before_is_clean() -> None:
    assert leftovers(open_files()) == []


def test_a_file_a_run_is_told() -> None:
    before = open_files()
    with ExitStack() as stack:
        for _ in range(SLACK + 1):
            stack.enter_context(socket.socket())
        (told,) = leftovers(before)
    assert told == f"{SLACK + 1} open files left"


def test_a_thread_of_an_operator_is_told() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="operator w1-0")
    thread.start()
    try:
        (told,) = leftovers(open_files())
    finally:
        over.set()
        thread.join()
    assert "operator w1-0" in told
