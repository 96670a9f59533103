"""Verdicts: what is read back, what counts, and that nothing is lost."""

import csv
import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from britekit.annotations.verdicts import (
    COLUMNS,
    Verdict,
    append_verdict,
    combine,
    current_verdicts,
    new_id,
    now,
    read_verdicts,
)
from britekit.errors import InputError


def verdict(**values: object) -> Verdict:
    facts: dict = {
        "id": new_id(), "recording": "site 1/a.wav", "start": 1.0, "end": 2.5, "detection_start": 0.0,
        "detection_end": 5.0, "name": "Wren", "verdict": "yes", "reviewer": "Jo",
        "time": "2026-05-01T06:30:00+02:00",
    }  # fmt: skip
    return Verdict(**facts | values)


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "data" / "verdicts.csv"
    rows = [
        verdict(others=("Robin", "Chiffchaff"), score=0.123456, share=0.25, note='she said "far away", then left'),
        verdict(name="Küken, junge", recording="ä/é;x.wav", verdict="unsure", channel="2"),
    ]
    for row in rows:
        append_verdict(path, row)
    assert read_verdicts(path) == rows
    with open(path, encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    assert table[0] == list(COLUMNS) and [len(row) for row in table] == [len(COLUMNS)] * 3


def test_a_line_break_in_a_note_stays_one_row(tmp_path: Path) -> None:
    append_verdict(tmp_path / "v.csv", verdict(note="first\nsecond\r\nthird"))
    assert (tmp_path / "v.csv").read_bytes().count(b"\n") == 2
    assert read_verdicts(tmp_path / "v.csv")[0].note == "first second third"


def test_of_each_reviewer_the_last_row_counts() -> None:
    first = verdict(verdict="yes")
    corrected = verdict(verdict="no", replaces=first.id)
    of_another = verdict(verdict="yes", reviewer="Ann")
    assert current_verdicts([first, of_another, corrected]) == [corrected, of_another]


def test_a_row_that_takes_another_back_leaves_nothing() -> None:
    first = verdict()
    undone = verdict(verdict="", replaces=first.id)
    again = verdict(verdict="no")
    assert current_verdicts([first, undone]) == []
    assert current_verdicts([first, undone, again]) == [again]


def test_one_answer_per_item_by_majority() -> None:
    def answer(*said: str) -> str:
        rows = [verdict(verdict=word, reviewer=str(number)) for number, word in enumerate(said)]
        (found,) = combine(current_verdicts(rows))
        assert found.reviewers == len(said)
        return found.answer

    assert answer("yes") == "yes"
    assert answer("yes", "no") == "unsure"
    assert answer("yes", "no", "no") == "no"
    assert answer("unsure", "yes") == "yes"
    assert answer("unsure", "unsure") == "unsure"


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("verdict", "maybe", 'row 2: "maybe" is not a verdict; use yes, no or unsure'),
        ("verdict", "", "row 2: a row without a verdict takes another back"),
        ("start", "soon", 'row 2: start is "soon"; expected a number'),
        ("end", "0.5", "row 2: it ends before it starts"),
        ("share", "0", "row 2: share is 0; expected a number above 0"),
        ("share", "1.5", "row 2: share is 1.5"),
        ("name", "", 'row 2: the column "name" is empty'),
        ("replaces", "abc", 'row 2: it replaces "abc", which no earlier row has'),
    ],
)
def test_a_row_that_cannot_be_understood_is_named(tmp_path: Path, column: str, value: str, message: str) -> None:
    path = tmp_path / "verdicts.csv"
    append_verdict(path, verdict())
    with open(path, encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    table[1][COLUMNS.index(column)] = value
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)
    with pytest.raises(InputError, match=message):
        read_verdicts(path)


def test_a_copied_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    append_verdict(path, verdict())
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(InputError, match="row 3: the id .* is also that of row 2"):
        read_verdicts(path)


def test_a_file_with_another_header_is_not_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text(";".join(COLUMNS) + "\n")
    before = path.read_bytes()
    with pytest.raises(InputError, match="cannot be appended to"):
        append_verdict(path, verdict())
    assert path.read_bytes() == before


def test_half_a_row_that_a_kill_left_goes_and_a_whole_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    first, second, third = verdict(), verdict(), verdict()
    append_verdict(path, first)
    append_verdict(path, second)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    append_verdict(path, third)
    assert read_verdicts(path) == [first, third]
    path.write_bytes(whole[:-1])  # an editor that leaves out the last line end
    append_verdict(path, third)
    assert read_verdicts(path) == [first, second, third]


WRITER = """
import sys
sys.path.insert(0, {root!r})
from britekit.annotations.verdicts import Verdict, append_verdict
for number in range(10_000):
    append_verdict({path!r}, Verdict(id=f"{{sys.argv[1]}}-{{number}}", recording="a.wav", start=0, end=1,
        detection_start=0, detection_end=1, name="Wren", verdict="yes", note="x" * 200))
    print(number, flush=True)
"""


def test_kills_and_two_writers_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    code = WRITER.format(root=str(Path(__file__).parents[2]), path=str(path))
    chance = random.Random(3)
    acknowledged: list[str] = []
    for round_ in range(4):
        writers = [
            subprocess.Popen([sys.executable, "-c", code, f"{round_}{name}"], stdout=subprocess.PIPE, text=True)
            for name in "ab"
        ]
        # Both are at work, however slow the machine is.
        first = ["".join(itertools.islice(writer.stdout or (), 3)) for writer in writers]
        time.sleep(chance.random() * 0.1)
        for name, writer, begin in zip("ab", writers, first, strict=True):
            writer.send_signal(signal.SIGKILL)
            out, _ = writer.communicate()
            acknowledged += [f"{round_}{name}-{number}" for number in (begin + out).split()]
    found = [row.id for row in read_verdicts(path)]
    assert len(acknowledged) > 20
    assert len(set(found)) == len(found)
    assert set(acknowledged) <= set(found)
    # At most the row that was being acknowledged when its writer was killed.
    assert len(set(found) - set(acknowledged)) <= 8


def test_a_full_disk_leaves_whole_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "verdicts.csv"
    append_verdict(path, verdict())
    before = path.read_bytes()
    monkeypatch.setattr("britekit.annotations.verdicts._line", lambda cells: b"half a row")

    def short(file, end, data):  # type: ignore[no-untyped-def]
        class Full:
            def write(self, some: bytes) -> int:
                return file.write(some[:4])

            truncate = file.truncate

        original(Full(), end, data)

    import britekit.annotations.verdicts as module

    original = module._write_or_restore
    monkeypatch.setattr(module, "_write_or_restore", short)
    with pytest.raises(InputError, match="no space left"):
        append_verdict(path, verdict())
    assert path.read_bytes() == before


def test_the_time_has_a_zone() -> None:
    from datetime import datetime

    assert datetime.fromisoformat(now()).tzinfo is not None


def test_a_file_that_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    """Semicolons, decimal commas, a byte-order mark, Windows line ends and another form of dates."""
    path = tmp_path / "verdicts.csv"
    rows = [verdict(name="Wren"), verdict(name="Owl", verdict="no", others=("Küken",), score=0.857, share=0.25)]
    for row in rows:
        append_verdict(path, row)
    lines = path.read_text(encoding="utf-8").splitlines()
    changed = [lines[0].replace(",", ";")]
    for line in lines[1:]:
        cells = next(csv.reader([line]))
        cells = [
            cell.replace(".", ",") if COLUMNS[n] in ("start", "end", "score", "share") else cell
            for n, cell in enumerate(cells)
        ]
        cells[COLUMNS.index("time")] = "30.11.2026 18:05"
        changed.append(";".join(cells))
    path.write_bytes("\r\n".join([*changed, ""]).encode("utf-8-sig"))
    found = read_verdicts(path)
    assert [(row.id, row.name, row.verdict, row.others, row.score, row.share, row.start) for row in found] == [
        (row.id, row.name, row.verdict, row.others, row.score, row.share, row.start) for row in rows
    ]


def test_a_spreadsheet_takes_no_id_for_a_number() -> None:
    for _ in range(200):
        with pytest.raises(ValueError, match="could not convert"):
            float(new_id())
