import pytest

from testbed.secrecy import number_lists


@pytest.mark.parametrize(
    "line",
    [
        "blocks [101, 7592, 2088, 102, 5, 6, 7, 8]",
        "(101,7592,2088,102,5,6,7,8)",
        "tokens: 101 7592 2088 102 5 6 7 8 9",
    ],
)
def test_token_ids_are_found_however_they_are_written(line: str) -> None:
    assert number_lists(f"2026-11-26 19:30:01,123 INFO  kvsync: {line}")


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-26 19:30:01,123 INFO  kvsync.shell: 1 of 2 pods rolled out",
        "10.244.0.17:5557 5558 5559: 3 of 3 sources verified",
        "revision 1, 2, 3, 4, 5, 6 and 7",
    ],
)
def test_what_a_log_says_anyway_is_no_list(line: str) -> None:
    assert not number_lists(line)
