"""The queue learn: what it chooses, by brute force; the same after kills; never what was heard; a fast page."""

import json
import logging
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from starlette.testclient import TestClient

from britekit.annotations.verdicts import Verdict, new_id, read_verdicts
from britekit.archive.classifiers import fit_logistic
from britekit.archive.store import Archive
from britekit.errors import InputError
from britekit.results import learning
from britekit.results.cutting import choose_clips
from britekit.results.learning import Pool, windows_of_archive
from britekit.results.learning_review import LearningReview
from britekit.results.recordings import Recordings
from britekit.results.review_queue import build_review
from britekit.service.review import ReviewApp
from tests.results.test_precision_report import write_labels

CLASSES = ["Owl", "Wren", "Rail"]
WINDOWS, WIDTH, HOST = 8, 6, "127.0.0.1:9"


def truth(recording: str, start: float) -> str:
    """Return the class of a window, which its vector shows."""
    return CLASSES[(int(recording[-1]) + int(start // 3)) % 3]


def make(folder: Path, count: int = 9, names: str = "r{}") -> Path:
    """Write recordings, and an archive of vectors about three centers, as its files are documented."""
    rng = np.random.default_rng(3)
    centers = 3 * rng.normal(size=(3, WIDTH))
    archive, vectors, lines = folder / "archive", [], []
    archive.mkdir(parents=True)
    for number in range(count):
        name = names.format(number)
        (folder / "rec").mkdir(exist_ok=True)
        soundfile.write(folder / "rec" / f"{name}.wav", rng.normal(0, 0.1, 8000 * 24), 8000)
        lines.append({"recording": name, "file": f"{name}.wav", "size": 1, "mtime_ns": 1, "seconds": 24.0,
                      "damaged_at": None, "first": number * WINDOWS, "windows": WINDOWS})  # fmt: skip
        vectors += [centers[CLASSES.index(truth(name, 3.0 * k))] + rng.normal(size=WIDTH) for k in range(WINDOWS)]
    stored = np.array(vectors, "<f2")
    (archive / "vectors.f16").write_bytes(stored.tobytes())
    (archive / "norms.f32").write_bytes(np.linalg.norm(stored.astype(float), axis=1).astype("<f4").tobytes())
    (archive / "starts.f64").write_bytes(np.tile(3.0 * np.arange(WINDOWS), count).astype("<f8").tobytes())
    (archive / "recordings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    identity = {"features": WIDTH, "overlap": 0.0, "audio": {"spec_duration": 3.0}}
    (archive / "archive.json").write_text(
        json.dumps({"format": "britekit-archive-1", "identity": identity, "recordings": "../rec", "model": "m"})
    )
    return archive


def pool_of(folder: Path, seed: int = 0, names: list[str] = CLASSES) -> Pool:  # noqa: B006
    archive = Archive(folder / "archive")
    return Pool(windows_of_archive(archive, Recordings(folder / "rec")), archive, names, True, seed)


def review_of(folder: Path, file: str = "v.csv", reviewer: str = "Jo", seed: int = 0, every: int = 4, **more):
    return LearningReview(pool_of(folder, seed), every, folder / file, reviewer, **more)


def hear(review: LearningReview, count: int) -> list[tuple[str, float, str]]:
    """Judge the next items by the truth; return what was heard."""
    heard = []
    for _ in range(count):
        number = review.next_number()
        if number is None:
            return heard
        item = review.items[number]
        true = truth(item.recording, item.start)
        others = [true] if item.name != true and true in review.classes else []
        review.judge(number, "yes" if item.name == true else "no", others)
        review.settle()
        heard.append((item.recording, item.start, item.name))
    return heard


def said(recording: str, start: float, name: str, verdict: str = "yes", **more) -> Verdict:
    where = {"start": start, "end": start + 3, "detection_start": start, "detection_end": start + 3}
    return Verdict(id=new_id(), recording=recording, name=name, verdict=verdict, **{**where, **more})


def test_weighted_logistic_regression_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(80, 5)).astype(np.float32), rng.uniform(0.1, 1, (80, 2)).astype(np.float32)
    y = x[:, :2] + rng.normal(size=(80, 2)) > 0
    z = StandardScaler().fit_transform(x.astype(float))
    found = fit_logistic(x, y, 0.3, weights_NC=weights).logits(x)
    for c in range(2):
        theirs = LogisticRegression(C=0.3, tol=1e-9).fit(z, y[:, c], sample_weight=weights[:, c])
        np.testing.assert_allclose(found[:, c], theirs.decision_function(z), atol=2e-3)


def test_a_third_each_is_uncertain_different_and_from_what_was_heard_least(tmp_path: Path) -> None:
    make(tmp_path)
    pool, stored = pool_of(tmp_path), Archive(tmp_path / "archive")
    rows = [said("r0", 0.0, "Owl"), said("r0", 3.0, "Owl", "no", others=("Wren",)), said("r4", 6.0, "Rail", "unsure")]
    chosen = pool.choose(rows, [70], 6, "Jo", 2)
    assert [each.way for each in chosen] == ["uncertain", "different", "site-day"] * 2
    x = stored.vectors.astype(np.float64)
    unit = x - x.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    # By hand: heard are windows 0, 1 and 34, and 70 waits; unnamed classes count 0.3.
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    seen = (z[[0, 1]] - z[[0, 1]].mean(axis=0)) / z[[0, 1]].std(axis=0)
    everything = (z - z[[0, 1]].mean(axis=0)) / z[[0, 1]].std(axis=0)
    heard, logits = [0, 1, 34, 70], np.zeros((len(x), 3))
    for c, (y, w) in enumerate([([1, 0], [1, 1]), ([0, 1], [0.3, 1])]):
        theirs = LogisticRegression(C=0.03, tol=1e-10).fit(seen, y, sample_weight=w)
        logits[:, c] = theirs.decision_function(everything)
    logits[:, 2] = -50  # nobody heard one
    doubt = np.abs(logits[:, 0] - logits[:, 1])
    for each in chosen:
        near = (unit @ unit[heard].T).max(axis=1)
        near[heard] = np.inf
        if each.way == "different":
            assert each.index == np.argmin(near)
        elif each.way == "uncertain" and len(heard) == 4:
            order = np.where(np.isinf(near), np.inf, doubt / (1.001 - near))
            assert order[each.index] <= np.sort(order)[1] + 1e-2
        elif each.way == "site-day":  # recordings stand for days that are not known
            counts = np.bincount(np.array(heard) // WINDOWS, minlength=9)
            assert counts[each.index // WINDOWS] == counts.min()
        heard.append(each.index)
    assert len(set(heard)) == 10


def test_days_and_sites_are_strata_where_they_are_known(tmp_path: Path) -> None:
    make(tmp_path, 6, "S_2026050{}_060000")
    stored = Archive(tmp_path / "archive")
    candidates = windows_of_archive(stored, Recordings(tmp_path / "rec"))
    days = [candidates.places[place].start for place in candidates.recording_M]
    assert len({day.date() for day in days if day}) == 6 - 1 and None in days  # the 0th of May is not a day
    pool = Pool(candidates, stored, CLASSES, True, 0)
    assert len(set(pool._stratum_N.tolist())) == 6


@pytest.mark.parametrize("undo", [False, True])
def test_a_killed_review_goes_on_with_the_same_windows(tmp_path: Path, undo: bool) -> None:
    make(tmp_path)
    whole = hear(review_of(tmp_path, "whole.csv"), 30)
    assert len({(recording, start) for recording, start, _ in whole}) == 30
    heard: list = []
    for part in (1, 2, 1, 4, 5, 3, 8, 6):  # all that a new process knows is the file
        review = review_of(tmp_path)
        heard += hear(review, part)
        if undo:
            review.undo()
            review.settle()
            assert hear(review, 1) == heard[-1:]
        assert review.progress()["done"] == len(heard)
    assert heard == whole
    assert hear(review_of(tmp_path, "other.csv", seed=1), 30) != whole
    assert hear(review_of(tmp_path, "again.csv"), 30) == whole


def test_what_was_taken_back_does_not_teach(tmp_path: Path) -> None:
    make(tmp_path)
    straight, corrected = review_of(tmp_path, "a.csv"), review_of(tmp_path, "b.csv")
    before = hear(straight, 4)
    assert hear(corrected, 3) == before[:3]
    number = corrected.next_number()
    item = corrected.items[number]
    wrong = next(name for name in CLASSES if name not in (truth(item.recording, item.start), item.name))
    corrected.judge(number, "no", [wrong])  # a batch is chosen by it
    corrected.settle()
    assert corrected.undo() == number and corrected.next_number() == number
    hear(corrected, 1)
    assert hear(straight, 12) == hear(corrected, 12)


def test_two_reviewers_share_the_work_and_blind_ones_do_not(tmp_path: Path) -> None:
    make(tmp_path)
    jo, bo = review_of(tmp_path, reviewer="Jo"), review_of(tmp_path, reviewer="Bo")
    heard = [window[:2] for _ in range(7) for each in (jo, bo) for window in hear(each, 3)]
    assert len(heard) == len(set(heard)) == 42
    alone = hear(review_of(tmp_path, "alone.csv", reviewer="Al"), 10)
    assert hear(review_of(tmp_path, reviewer="Al", blind=True), 10) == alone


def test_all_is_heard_in_the_end(tmp_path: Path) -> None:
    make(tmp_path, 3)
    review = review_of(tmp_path, every=5)
    heard = hear(review, 100)
    assert sorted({(r, s) for r, s, _ in heard}) == [(f"r{n}", 3.0 * k) for n in range(3) for k in range(WINDOWS)]
    assert review.progress()["left"] == 0 and review_of(tmp_path, every=5).next_number() is None


def test_detections_keep_their_class(tmp_path: Path) -> None:
    make(tmp_path)
    rows = [(f"r{n}", name, 3.0 * k, 3.0 * k + 2, 0.5) for n in range(9) for k in (0, 4) for name in CLASSES[:2]]
    labels = write_labels(tmp_path / "labels", rows)
    review, _ = build_review(
        tmp_path / "rec", labels, "learn", verdicts=tmp_path / "v.csv", reviewer="Jo", archive=tmp_path / "archive"
    )
    heard = hear(review, 36)
    assert sorted(heard) == sorted((r, s, name) for r, name, s, _, _ in rows)
    assert {row.queue for row in read_verdicts(tmp_path / "v.csv")} == {"learn"}


def test_the_page_does_not_wait_for_the_probe(tmp_path: Path, monkeypatch) -> None:
    make(tmp_path)
    slow, threads = Pool.choose, []

    def choose(*given):
        threads.append(time.monotonic())
        time.sleep(1.0 if len(threads) > 2 else 0.0)
        return slow(*given)

    monkeypatch.setattr(Pool, "choose", choose)
    review, there = build_review(
        tmp_path / "rec",
        None,
        "learn",
        names=CLASSES,
        verdicts=tmp_path / "v.csv",
        archive=tmp_path / "archive",
        every=6,
    )
    app = ReviewApp(review, there, "secret", {HOST})
    client = TestClient(app.build(), base_url=f"http://{HOST}", headers={"X-Review-Token": "secret"})
    number, took = client.get("/api/session").json()["first"], []
    for _ in range(12):
        began = time.perf_counter()
        answer = client.post(f"/api/items/{number}/verdict", json={"verdict": "no"}).json()
        number = answer["next"]
        assert client.get(f"/api/next?after={number}&count=4").status_code == 200
        took.append(time.perf_counter() - began)
    # The 6th verdict starts a second's work, which only the 12th, typed within that second, has to wait for.
    assert len(threads) == 4 and max(took[:11]) < 0.5 < took[11] and number == 12


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"archive": None}, "embeddings, and there are none: make them with `britekit embed -i RECORDINGS --archive"),
        ({"names": ()}, "which classes there may be is not known: name them with --name"),
        ({"every": 0}, "--every 0: expected 1 or more"),
        ({"archive": "rec"}, "rec is not an archive"),
    ],
)
def test_refusals(tmp_path: Path, monkeypatch, given: dict, sentence: str) -> None:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        build_review("rec", None, "learn", **{"names": CLASSES, "archive": "archive", "verdicts": "v.csv", **given})
    with pytest.raises(InputError, match="goes with review alone"):
        choose_clips(pool_of(tmp_path).candidates, "learn", 5, 0)


def test_vanished_recordings_are_named_and_one_class_is_enough(tmp_path: Path, caplog) -> None:
    make(tmp_path)
    (tmp_path / "rec" / "r4.wav").unlink()
    with caplog.at_level(logging.WARNING):
        pool = pool_of(tmp_path, names=["Owl"])
    assert "1 recording of" in caplog.text and "cannot be heard and are left out: r4" in caplog.text
    review = LearningReview(pool, 4, tmp_path / "v.csv", "Jo")
    heard = hear(review, 100)
    assert len(heard) == 8 * WINDOWS and {name for _, _, name in heard} == {"Owl"}


def test_a_damaged_vector_is_refused(tmp_path: Path) -> None:
    file = make(tmp_path) / "vectors.f16"
    vectors = np.frombuffer(file.read_bytes(), "<f2").reshape(-1, WIDTH).copy()
    vectors[13, 2] = np.nan
    file.write_bytes(vectors.tobytes())
    with pytest.raises(InputError, match=r"vectors.f16 is damaged: the vector of r1 at 15 s .* restore the file"):
        pool_of(tmp_path)
    from britekit.archive.search import find_similar

    for exact in (True, None):
        with pytest.raises(InputError, match="the vector of r1 at 15 s"):
            find_similar(Archive(tmp_path / "archive"), np.asarray(vectors[:1], np.float32), None, 70, exact)


def test_classes_that_are_not_learned_are_named_once(tmp_path: Path, caplog) -> None:
    make(tmp_path)
    pool = pool_of(tmp_path)
    heard = [said("r0", 0.0, "Owl", "no", others=("Coot", "Rail"))]
    with caplog.at_level(logging.WARNING):
        pool.fit(heard)
        pool.fit(heard)
    assert [record.message for record in caplog.records] == [
        "heard, but not among the classes of this queue, so not learned: Coot; add them with --name to be asked about "
        "them"
    ]


def test_many_windows_are_thinned(tmp_path: Path, monkeypatch, caplog) -> None:
    make(tmp_path)
    monkeypatch.setattr(learning, "MOST", 20)
    with caplog.at_level(logging.WARNING):
        pool = pool_of(tmp_path)
    assert "20 of the 72 detections or windows may be asked about" in caplog.text
    assert (len(pool.candidates), pool.all) == (20, 72)
