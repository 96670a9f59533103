import io
import time
import zipfile

import numpy as np
import pytest

from britekit.annotations.classes import ClassInfo
from britekit.annotations.scores import ScoreTable
from britekit.errors import InputError


def table(windows=7, classes=3):
    rng = np.random.default_rng(0)
    return ScoreTable(
        recordings=["0123", "b é", "silent"],
        seconds=np.array([20.0, 15.5, 0.25]),
        row_recording=np.array([0] * 4 + [1] * (windows - 4), np.int32),
        starts=np.arange(windows) / 3,
        duration=5.0,
        classes=[ClassInfo(f"class {k}", f"C{k}", "", "x" * k) for k in range(classes)],
        scores=rng.random((windows, classes), np.float32),
        meta={"backend": "openvino", "members": "[]"},
    )


def test_round_trip_is_exact(tmp_path):
    before = table()
    before.save(tmp_path / "scores.npz")
    after = ScoreTable.load(tmp_path / "scores.npz")
    assert after.recordings == before.recordings and after.classes == before.classes and after.meta == before.meta
    assert after.duration == 5.0 and after.scores.dtype == np.float32 and after.row_recording.dtype == np.int32
    for name in ("seconds", "row_recording", "starts", "scores"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_numpy_alone_reads_it(tmp_path):
    table().save(tmp_path / "scores.npz")
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as archive:
        assert archive["recordings"].tolist() == ["0123", "b é", "silent"]
        np.testing.assert_array_equal(archive["scores"], table().scores)


def test_empty_table(tmp_path):
    empty = ScoreTable([], np.empty(0), np.empty(0, np.int32), np.empty(0), 5.0, [ClassInfo("A")], np.empty((0, 1)))
    empty.save(tmp_path / "scores.npz")
    assert ScoreTable.load(tmp_path / "scores.npz").scores.shape == (0, 1)


def test_bytes_do_not_depend_on_the_clock(tmp_path, monkeypatch):
    table().save(tmp_path / "a.npz")
    monkeypatch.setattr(time, "time", lambda: 2e9)
    table().save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scores": np.zeros((6, 3), np.float32)}, r"scores has the shape \(6, 3\); expected \(7, 3\)"),
        ({"scores": np.full((7, 3), np.nan, np.float32)}, "not between 0 and 1"),
        ({"scores": np.full((7, 3), 1.5, np.float32)}, "not between 0 and 1"),
        ({"starts": np.zeros(8)}, "starts has the shape"),
        ({"starts": np.full(7, -1.0)}, "negative or undefined"),
        ({"row_recording": np.full(7, 3, np.int32)}, "outside the 3 recordings"),
        ({"seconds": np.full(3, np.nan)}, "seconds holds"),
        ({"duration": np.float64(0)}, "duration is 0"),
        ({"duration": np.zeros(2)}, "duration is float64 with 1 dimensions"),
        ({"recordings": np.array(["a", "a", "b"])}, "listed twice"),
        ({"class_codes": np.array(["a"])}, "differ in number"),
        ({"meta": np.array("{")}, "meta is not JSON"),
        ({"meta": np.array("[1]")}, "meta is not a map"),
        ({"recordings": np.array([{"a": 1}], dtype=object)}, "not a readable score file"),
        ({"starts": None}, "lacks starts"),
    ],
)
def test_damaged_tables_are_refused_by_part(tmp_path, change, message):
    path = tmp_path / "scores.npz"
    table().save(path)
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files} | change
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(InputError, match=f"scores.npz.*{message}"):
        ScoreTable.load(path)


def test_what_is_no_archive(tmp_path):
    path = tmp_path / "scores.npz"
    with pytest.raises(InputError, match="does not exist"):
        ScoreTable.load(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(InputError, match="not a readable score file"):
        ScoreTable.load(path)
    table().save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="not a readable score file"):
        ScoreTable.load(path)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="not a readable score file"):
        ScoreTable.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("recordings.npy", b"garbage")
    with pytest.raises(InputError, match="lacks"):
        ScoreTable.load(path)


def test_saving_a_wrong_table_leaves_the_old_one(tmp_path):
    path = tmp_path / "scores.npz"
    table().save(path)
    before = path.read_bytes()
    wrong = table()
    wrong.scores = wrong.scores[:-1]
    with pytest.raises(InputError, match="scores has the shape"):
        wrong.save(path)
    assert path.read_bytes() == before
