"""The journal's file: written, read, begun anew; and a disk that does not do what it should."""

import os
from pathlib import Path

import pytest

from kvsync.core.relay.journal import HEAD, Mark, entries
from kvsync.relay.journal import AGAIN, FIXED, GROWN, Journal

MARK = Mark(3, b"12345678", complete=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def begun(path: Path) -> Journal:
    journal = Journal(path, 100)
    journal.replace(entries({0: MARK}, [1, 2], [9]), 0.0)
    return journal


def test_what_one_wrote_the_next_one_reads(path: Path) -> None:
    journal = begun(path)
    journal.append(entries({}, [3], [1]), 0.0)
    journal.append((), 0.0)
    memory = Journal(path, 100).load(remembered=10)
    assert memory is not None
    assert ([*memory.told], [*memory.gone], memory.marks) == ([2, 3], [9, 1], {0: MARK})
    assert path.stat().st_mode & 0o777 == 0o600
    assert [*path.parent.iterdir()] == [path]


def test_none_is_nothing_to_say(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Journal(path, 100).load(remembered=10) is None
    assert not caplog.records


def test_what_is_no_journal_is_said_and_begun_anew(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for content in (b"", b"something else", HEAD + bytes(FIXED + 9600)):
        path.write_bytes(content)
        assert Journal(path, 100).load(remembered=10) is None
        assert "beginning empty" in caplog.text
        caplog.clear()
    path.unlink()
    path.mkdir()
    assert Journal(path, 100).load(remembered=10) is None
    assert "beginning empty" in caplog.text
    path.rmdir()
    path.symlink_to("/etc/passwd")
    assert Journal(path, 100).load(remembered=10) is None
    os.mkfifo(path.with_name("fifo"))
    assert Journal(path.with_name("fifo"), 100).load(remembered=10) is None


def test_an_end_that_was_cut_off_is_not_read(path: Path) -> None:
    begun(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b"".join(entries({}, [3], []))[:-1])
    memory = Journal(path, 100).load(remembered=10)
    assert memory is not None
    assert [*memory.told] == [1, 2]


def test_it_is_begun_anew_when_it_has_grown(path: Path) -> None:
    journal = begun(path)
    some = [*entries({}, [*range(8000)], [])]
    while not journal.is_due(1.0):
        journal.append(some, 1.0)
    assert GROWN < path.stat().st_size < GROWN + 100_000
    journal.replace(entries({}, [5], []), 1.0)
    journal.append(entries({}, [6], []), 1.0)
    memory = Journal(path, 100).load(remembered=10)
    assert memory is not None
    assert [*memory.told] == [5, 6]
    assert not journal.is_due(1.0)


def test_a_full_disk_leaves_no_file_that_is_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = begun(path)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:-1]))
    journal.append(entries({}, [3], []), 10.0)
    assert not path.exists()
    assert "--journal" in caplog.text
    assert (journal.is_kept, journal.failures) == (False, 1)
    journal.append(entries({}, [4], []), 10.0)
    assert not journal.is_due(9.0 + AGAIN)
    assert journal.is_due(10.0 + AGAIN)
    journal.replace(entries({}, [3], []), 10.0 + AGAIN)
    assert (journal.is_kept, journal.failures) == (False, 2)
    monkeypatch.undo()
    journal.replace(entries({}, [3], []), 10.0 + 2 * AGAIN)
    assert journal.is_kept
    assert path.exists()


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    journal = begun(tmp_path / "nowhere" / "journal")
    assert (journal.is_kept, journal.failures) == (False, 1)
    journal.close()
