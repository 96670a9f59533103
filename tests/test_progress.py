"""Progress is quiet, rare and never in the way."""

import io

import pytest

from britekit import progress
from britekit.progress import clock, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def time_flies(monkeypatch):
    """Let each look at the clock take a second."""
    now = iter(range(10**9))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))


def test_short_loops_say_nothing(capsys):
    assert list(track(range(1000), what="rows")) == list(range(1000))
    assert capsys.readouterr().err == ""


def test_a_line_per_5_percent_at_most(time_flies, capsys):
    assert len(list(track(range(1000), what="rows"))) == 1000
    lines = capsys.readouterr().err.splitlines()
    assert 15 <= len(lines) <= 20
    assert lines[0].startswith("rows: 50/1000 (5%), ") and lines[0].endswith(" left")
    assert lines[-1].startswith("rows: 1000/1000, ")


def test_a_bar_on_a_terminal(time_flies, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    list(track(range(10), what="rows"))
    assert "[############" in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1


def test_an_interruption_ends_the_line(time_flies, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with pytest.raises(KeyboardInterrupt):
        for item in track(range(10)):
            if item == 8:
                raise KeyboardInterrupt
    # the generator is closed when it is collected
    import gc

    gc.collect()
    assert terminal.getvalue().endswith("\n")


def test_unknown_length(time_flies, capsys):
    assert list(track(iter("abc"))) == ["a", "b", "c"]
    assert capsys.readouterr().err.startswith("3, ")


def test_clock():
    assert [clock(seconds) for seconds in (0, 7.4, 65, 3723)] == ["0:00", "0:07", "1:05", "1:02:03"]


def test_more_than_was_expected_is_not_shown(time_flies, capsys):
    """The last window of a recording reaches beyond its end."""
    meter = progress.Meter(4, "seconds")
    for _ in range(5):
        meter.advance(1)
    meter.finish()
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("seconds: 4/4, ") and not [line for line in lines if "5/4" in line]
