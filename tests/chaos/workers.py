"""Runs cases in several processes, each with a node of its own and a few runs at a time."""

import asyncio
import logging
import multiprocessing
import queue
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from chaos.cases import Case
from chaos.run import Report, Run
from chaos.stage import Reach, stage
from chaos.stand import Lines, shortened

PROCESSES = 4
AT_ONCE = 5
"""Runs in a process: most of a run is waiting."""
_THREADS = 32
SLACK = 40
"""Open files by which a process may grow whatever it ran: connections kept to the API server. One more a
run would be more than that after any whole run."""
_OF_OPERATORS = ("operator ", "asyncio_")
"""Names of the threads in which operators live, and in which their event loops wait for files and names."""


def reports(
    reach: Reach,
    cases: Sequence[Case],
    limits: Mapping[str, int],
    *,
    processes: int = PROCESSES,
    at_once: int = AT_ONCE,
    first: int = 1,
) -> Iterator[Report]:
    """Run all, and give each report as it comes, in any order. Raises RuntimeError where a worker fails.

    ``first``: the number of the first process; no two on one control plane may have the same.
    """
    context = multiprocessing.get_context("spawn")
    todo: Any = context.Queue()
    done: Any = context.Queue()
    for case in cases:
        todo.put(case)
    size = min(processes, len(cases))
    workers = [
        context.Process(target=work, args=(reach, number, at_once, limits, todo, done), daemon=True)
        for number in range(first, first + size)
    ]
    for worker in workers:
        worker.start()
    todo.put(None)  # each that finds it puts it back for the others
    ended = 0
    while ended < size:
        said = _next(done, workers)
        if isinstance(said, str):
            ended += 1
            if said:
                raise RuntimeError(said)
        else:
            yield said
    for worker in workers:
        worker.join(10)


def _next(done: Any, workers: Sequence[Any]) -> Report | str:
    while True:
        try:
            found: Report | str = done.get(timeout=5)
        except queue.Empty:
            dead = [w.exitcode for w in workers if w.exitcode]
            if dead:
                raise RuntimeError(f"a worker ended with {dead}") from None
        else:
            return found


def work(
    reach: Reach, number: int, at_once: int, limits: Mapping[str, int], todo: Any, done: Any
) -> None:
    """One process: take cases until there is a None."""
    try:
        asyncio.run(_work(reach, number, at_once, limits, todo, done))
    except BaseException:
        done.put(traceback.format_exc())
        raise
    done.put("")


async def _work(
    reach: Reach, number: int, at_once: int, limits: Mapping[str, int], todo: Any, done: Any
) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS))
    lines, numbers, over = listening(), count(), asyncio.Event()
    async with stage(reach, number) as own:
        with shortened():

            async def take() -> None:
                while not over.is_set():
                    case = await asyncio.to_thread(todo.get)
                    if case is None:
                        over.set()
                        todo.put(None)
                        return
                    done.put(await told(Run(own, case, next(numbers), lines, limits), case))

            before = open_files()
            await asyncio.gather(*(take() for _ in range(at_once)))
            await own.kubelet.until_empty()
            found = leftovers(before)
    if found:
        done.put(Report(Case(f"what process {number} held in the end"), found))


async def told(run: Run, case: Case) -> Report:
    """What became of a run; also where the run itself failed, which must not end all others."""
    try:
        return await run.tell()
    except Exception:
        return Report(case, [f"the run itself failed: {traceback.format_exc()}"])


def leftovers(files: int) -> list[str]:
    """What operators left in this process, which had so many ``files`` open before the first of them."""
    more = open_files() - files
    threads = [t.name for t in threading.enumerate() if t.name.startswith(_OF_OPERATORS)]
    found = [f"threads left: {threads}"] if threads else []
    return [*found, f"{more} open files left"] if more > SLACK else found


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def listening() -> Lines:
    """Keep all that is logged in this process."""
    lines = Lines()
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(lines)
    # Whatever it could say is looked through for token ids.
    logging.getLogger("kvsync").setLevel(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    return lines
