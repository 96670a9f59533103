"""A review: order, resumption, undo, several reviewers, and precision so far by hand."""

from pathlib import Path
from threading import Thread

import pytest

from britekit.annotations.verdicts import COLUMNS, current_verdicts, read_verdicts
from britekit.errors import InputError
from britekit.results.review import Item, Review


def item(number: int, name: str = "Wren", stratum: str = "all", share: float | None = 0.5) -> Item:
    return Item(number, "a", number * 10.0, number * 10.0 + 5, name, 0.9, stratum, share, "pond", "")


def test_a_review_goes_on_where_it_ended(tmp_path: Path) -> None:
    items = [item(number) for number in range(4)]
    first = Review(items, tmp_path / "v.csv", "Jo")
    assert first.next_number() == 0
    first.judge(0, "yes")
    first.judge(2, "no", note="a dog")
    again = Review(items, tmp_path / "v.csv", "Jo")
    assert again.next_number() == 1 and again.next_number(1) == 3
    again.judge(3, "unsure")
    again.judge(1, "yes")
    assert again.next_number() is None
    assert again.progress()["done"] == 4 and again.progress()["left"] == 0


def test_a_correction_replaces_and_undo_takes_back(tmp_path: Path) -> None:
    review = Review([item(0), item(1)], tmp_path / "v.csv", "Jo")
    first = review.judge(0, "yes")
    second = review.judge(0, "no", start=1.0, end=2.0)
    assert second.replaces == first.id and (second.detection_start, second.start) == (0.0, 1.0)
    assert [row.verdict for row in current_verdicts(read_verdicts(tmp_path / "v.csv"))] == ["no"]
    assert review.undo() == 0
    assert current_verdicts(read_verdicts(tmp_path / "v.csv")) == []
    assert review.verdict_of(0) is None and review.next_number() == 0
    assert review.undo() is None
    assert len(read_verdicts(tmp_path / "v.csv")) == 3  # nothing was removed


def test_what_others_append_meanwhile_is_seen(tmp_path: Path) -> None:
    items = [item(number) for number in range(6)]
    one, same = Review(items, tmp_path / "v.csv", "Jo"), Review(items, tmp_path / "v.csv", "Jo")
    one.judge(0, "yes")
    one.judge(1, "yes")
    same.judge(2, "no")  # a second window of the same reviewer
    one.judge(3, "yes")
    assert one.next_number() == 4 and one.progress()["done"] == 4
    same.judge(1, "no")
    assert one.progress()["no"] == 2


def test_another_reviewers_verdicts_are_not_ones_own(tmp_path: Path) -> None:
    items = [item(0), item(1)]
    one, other = Review(items, tmp_path / "v.csv", "Jo"), Review(items, tmp_path / "v.csv", "Ann")
    one.judge(0, "yes")
    assert other.next_number() == 0
    other.judge(0, "no")
    one.judge(1, "yes")
    assert one.progress()["done"] == 2 and other.progress()["done"] == 1
    assert len(current_verdicts(read_verdicts(tmp_path / "v.csv"))) == 3


@pytest.mark.parametrize("blind", [False, True])
def test_presence_stops_once_confirmed(tmp_path: Path, blind: bool) -> None:
    items = [item(0, stratum="day 1"), item(1, stratum="day 2"), item(2, stratum="day 1"), item(3, stratum="day 2")]
    review = Review(items, tmp_path / "v.csv", "Jo", until_confirmed=True, blind=blind)
    review.judge(0, "yes")
    review.judge(1, "no")
    assert review.next_number() == 3
    assert review.progress() | {"precision": None} == {
        "items": 4, "done": 2, "passed_over": 1, "left": 1, "minutes_left": 0.1,
        "yes": 1, "no": 1, "unsure": 0, "precision": None,
    }  # fmt: skip
    other = Review(items, tmp_path / "v.csv", "Ann", until_confirmed=True, blind=blind)
    assert other.next_number() == (0 if blind else 1)


def test_precision_so_far_weighs_strata_by_what_they_stand_for(tmp_path: Path) -> None:
    # low: 4 of 40 drawn; high: 4 of 10. Heard: 1 of 2 right among the low, 2 of 2 among the high.
    items = [item(number, stratum="low", share=0.1) for number in range(4)]
    items += [item(number, stratum="high", share=0.4) for number in range(4, 8)]
    review = Review(items, tmp_path / "v.csv", "Jo")
    for number, verdict in ((0, "yes"), (1, "no"), (2, "unsure"), (4, "yes"), (5, "yes")):
        review.judge(number, verdict)
    (found,) = review.progress()["precision"]
    assert found["value"] == pytest.approx((40 * 0.5 + 10 * 1.0) / 50)
    assert found["verdicts"] == 4 and 0 < found["low"] < found["value"] < found["high"] <= 1


def test_items_that_were_chosen_give_no_precision(tmp_path: Path) -> None:
    review = Review([item(0, share=None)], tmp_path / "v.csv", "Jo")
    review.judge(0, "yes")
    assert review.progress()["precision"] == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"number": 5, "verdict": "yes"}, "no item 5; there are 1"),
        ({"number": 0, "verdict": "maybe"}, '"maybe" is not a verdict'),
        ({"number": 0, "verdict": "yes", "others": ["Unicorn"]}, '"Unicorn" is not one of the classes'),
        ({"number": 0, "verdict": "yes", "start": 3.0, "end": 2.0}, "not possible"),
        ({"number": 0, "verdict": "yes", "end": float("nan")}, "not possible"),
    ],
)
def test_impossible_verdicts_are_refused_and_nothing_is_written(tmp_path: Path, call: dict, message: str) -> None:
    review = Review([item(0)], tmp_path / "v.csv", "Jo")
    with pytest.raises(InputError, match=message):
        review.judge(**call)
    assert not (tmp_path / "v.csv").exists()


def test_a_file_that_cannot_be_appended_to_is_refused_before_anybody_listens(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text(";".join(COLUMNS) + "\n")
    with pytest.raises(InputError, match="cannot be appended to, since its header is not id,replaces"):
        Review([], path, "Ann")


def test_two_reviewers_on_one_queue_keep_their_verdicts_apart(tmp_path: Path) -> None:
    path, items = tmp_path / "v.csv", [item(number) for number in range(40)]
    reviews = [Review(items, path, name) for name in ("Ann", "Ben")]

    def judge(review: Review, answer: str) -> None:
        for number in range(40):
            review.judge(number, answer)

    threads = [Thread(target=judge, args=pair) for pair in zip(reviews, ("yes", "no"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = current_verdicts(read_verdicts(path))
    said = {name: [row.verdict for row in rows if row.reviewer == name] for name in ("Ann", "Ben")}
    assert said == {"Ann": ["yes"] * 40, "Ben": ["no"] * 40}
    assert [review.progress()["left"] for review in reviews] == [0, 0]
