"""Archives hold every window, grow by what is new or changed, and survive kills to the byte."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from britekit.archive import growing
from britekit.archive.store import Archive
from britekit.commands.embed import embed
from britekit.errors import BriteKitError, InferenceError, InputError, ModelError
from tests.archive.conftest import CLASSES, LENGTHS, content, expected_vector, make_recordings
from tests.inference.conftest import write_recording
from tests.inference.fakes import SMALL_AUDIO, make_fake_member

MODEL = "models/seed-1.onnx"


def test_all_windows_are_there(archive):
    stored = Archive(archive)
    assert sorted(stored.entries) == sorted(LENGTHS)
    # By hand: windows of 3 s every 2 s while a second is left, and one that ends with the recording.
    assert {name: stored.entries[name].windows for name in LENGTHS} == {
        "a/one": 5, "a/two": 1, "b/three": 4, "b/four": 31, "five": 1, "six": 0,
    }  # fmt: skip
    assert stored.rows == 42
    for row in range(stored.rows):
        entry = stored.entry_of(row)
        wanted = expected_vector(Path("recordings") / entry.file, float(stored.starts[row]))
        np.testing.assert_allclose(stored.vectors[row].astype(float), wanted, atol=1e-3)
    norms = np.linalg.norm(stored.vectors.astype(np.float64), axis=1)
    np.testing.assert_allclose(stored.norms, norms, rtol=1e-6)


def test_grows_by_what_is_new_or_changed(archive, caplog):
    before = content(archive)
    again = embed(input_path="recordings", archive="archive")
    assert (again.added, again.changed, again.known) == (0, 0, 6)
    assert content(archive) == before
    write_recording(Path("recordings/a/new.wav"), 5.0, seed=9)
    write_recording(Path("recordings/a/one.wav"), 4.0, seed=10)
    Path("recordings/five.wav").unlink()
    with caplog.at_level(logging.WARNING):
        third = embed(input_path="recordings", archive="archive")
    assert (third.added, third.changed, third.known, third.gone) == (1, 1, 4, ["five"])
    assert "five" in caplog.text and "stay in it" in caplog.text
    after = content(archive)
    for name in ("vectors.f16", "starts.f64", "norms.f32", "recordings.jsonl"):
        assert after[name].startswith(before[name])
    stored = Archive(archive)
    assert stored.rows == 42 + 3 + 2
    assert np.flatnonzero(~stored.live).tolist() == list(range(5))  # the old windows of a/one
    assert stored.entries["a/one"].windows == 2 and stored.entry_of(45).recording == "a/one"
    assert stored.entry_of(44).recording == "a/new"
    assert stored.outdated == {"a/one": 5} and third.outdated == stored.describe_outdated()
    assert "5 windows of 1 recording that changed (a/one); they are not searched" in third.outdated
    assert again.outdated == ""


def test_a_folder_in_it_can_be_added_alone(recordings, monkeypatch):
    embed(input_path="recordings", archive="archive", model=MODEL)
    write_recording(Path("recordings/b/late.wav"), 5.0)
    growth = embed(input_path="recordings/b", archive="archive")
    assert (growth.added, growth.known, growth.gone) == (1, 2, [])
    assert "b/late" in Archive("archive").entries
    # However the folders are written, and from wherever.
    before = content(Path("archive"))
    for source in ("recordings/b", Path("recordings").absolute(), "../" + Path.cwd().name + "/recordings"):
        for folder in ("archive", Path("archive").absolute()):
            assert embed(input_path=str(source), archive=str(folder)).added == 0
    assert content(Path("archive")) == before
    write_recording(Path("recordings/a/last.wav"), 5.0)
    Path("link").symlink_to("recordings/a")
    monkeypatch.chdir("models")
    assert embed(input_path="../link", archive=str(Path("../archive").resolve())).added == 1
    assert Archive("../archive").entries["a/last"].file == "a/last.wav"


# Slowed down, and committing each recording, so that kills fall everywhere.
_SLOW_EMBED = """
import time
from britekit.archive import appending as store
from britekit.commands.embed import embed
store._COMMIT_SECONDS = 0
add = store.GrowingArchive.add
store.GrowingArchive.add = lambda *given: (time.sleep(0.02), add(*given))[1]
embed(input_path="recordings", archive="killed", model="models/seed-1.onnx")
"""


@pytest.mark.slow
def test_killed_runs_go_on_to_equal_bytes(recordings):
    for number in range(50):
        write_recording(recordings / f"more/{number:02}.wav", 30.0 + number / 10, seed=number)
    embed(input_path="recordings", archive="whole", model=MODEL)
    rng, kept = random.Random(0), set()
    index = Path("killed/recordings.jsonl")
    for _ in range(40):
        process = subprocess.Popen([sys.executable, "-c", _SLOW_EMBED], stdout=subprocess.DEVNULL)
        lines = index.read_bytes().count(b"\n") if index.exists() else 0
        while process.poll() is None and (not index.exists() or index.read_bytes().count(b"\n") <= lines):
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.4))
        if process.poll() is not None:
            assert process.returncode == 0
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept.add(index.read_bytes().count(b"\n"))
    assert process.returncode == 0 and len(kept) >= 5
    whole, killed = content(Path("whole")), content(Path("killed"))
    assert whole == killed


def test_what_a_kill_left_behind_is_cut_off(recordings, monkeypatch):
    embed(input_path="recordings", archive="whole", model=MODEL)
    done = content(Path("whole"))
    for cut in (0, 1, 2, 3):  # so many whole lines, and half of the next
        embed(input_path="recordings", archive=f"cut{cut}", model=MODEL)
        place = Path(f"cut{cut}") / "recordings.jsonl"
        lines = done["recordings.jsonl"].splitlines(keepends=True)
        place.write_bytes(b"".join(lines[:cut]) + lines[cut][:20])
        embed(input_path="recordings", archive=f"cut{cut}", model=MODEL)
        assert {**content(Path(f"cut{cut}"))} == done


def test_order_does_not_depend_on_which_is_complete_first(recordings, monkeypatch):
    embed(input_path="recordings", archive="wide", model=MODEL, num_threads=6)
    monkeypatch.setattr(growing, "_AHEAD", 1)
    embed(input_path="recordings", archive="narrow", model=MODEL, num_threads=1)
    wide, narrow = content(Path("wide")), content(Path("narrow"))
    assert wide == narrow


def test_recordings_that_cannot_be_read_or_vanish_are_named(recordings, monkeypatch):
    Path("recordings/bad.wav").write_bytes(b"RIFF nonsense")
    path = Path("recordings/a/two.wav").absolute()
    real = growing.identity_of

    def vanishing(place):
        found = real(place)
        if place.absolute() == path:
            path.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(growing, "identity_of", vanishing)
    with pytest.raises(InferenceError, match=r"2 of 7 recordings could not be embedded \(recordings/a/two.wav: "):
        embed(input_path="recordings", archive="archive", model=MODEL)
    assert sorted(Archive("archive").entries) == ["a/one", "b/four", "b/three", "five", "six"]


def test_vectors_that_are_no_numbers_are_refused(recordings):
    weights = np.zeros((2, SMALL_AUDIO.spec_height))
    make_fake_member(Path("nan"), CLASSES, weights_CH=weights)
    import onnx
    from onnx import helper, numpy_helper

    for value, reason in ((np.nan, "the models give NaN"), (1e6, "holds numbers up to 65504")):
        model = onnx.load("nan/seed-1.onnx")
        (node,) = [n for n in model.graph.node if n.op_type == "Identity"]
        model.graph.node.remove(node)
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), f"bad{value}"))
        model.graph.node.append(helper.make_node("Mul", ["rows", f"bad{value}"], ["embedding"]))
        onnx.save(model, "nan/bad.onnx")
        with pytest.raises(InferenceError, match=reason):
            embed(input_path="recordings", archive=f"archive{value}", model="nan/bad.onnx")
        assert {entry.windows for entry in Archive(f"archive{value}").entries.values()} == {0}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"archive": "archive", "input_path": "recordings", "db_path": "x.db"}, "-d is about the training database"),
        ({"archive": "archive", "input_path": "recordings", "class_name": "Wren"}, "--name is about the training"),
        ({"archive": "archive", "input_path": "recordings", "spec_group": "x"}, "--sgroup is about the training"),
        ({"archive": "archive"}, "name them with -i"),
        ({"input_path": "recordings"}, "-i is about an archive"),
        ({"archive": "archive", "input_path": "recordings", "overlap": 0.0}, "overlap 1.0, not 0.0"),
        ({"archive": "archive", "input_path": "elsewhere"}, "is an archive of the recordings below recordings"),
        ({"archive": "models", "input_path": "recordings"}, "holds something else than an archive"),
        ({"archive": "archive", "input_path": "recordings", "model": "other/seed-1.onnx"}, "another model"),
    ],
)
def test_refusals(archive, given, sentence):
    make_recordings(Path("elsewhere"))
    make_fake_member(Path("other"), CLASSES, seed=3)
    if given.get("archive") == "models":
        given = {**given, "model": MODEL}
    before = content(archive)
    with pytest.raises(InputError, match=sentence):
        embed(**given)
    assert content(archive) == before


def test_several_models_or_none(recordings):
    make_fake_member(Path("two"), CLASSES)
    make_fake_member(Path("two"), CLASSES, name="seed-2", seed=2)
    with pytest.raises(ModelError, match="vectors of one model, and there are 2.*--model"):
        embed(input_path="recordings", archive="archive", model="two")
    embed(input_path="recordings", archive="archive", model=MODEL)
    os.rename("models", "moved")
    with pytest.raises(ModelError, match="models/seed-1.onnx, with which archive was made, is not there.*--model"):
        embed(input_path="recordings", archive="archive")
    assert embed(input_path="recordings", archive="archive", model="moved/seed-1.onnx").known == 6


def test_damaged_archives_say_so(archive):
    vectors = (archive / "vectors.f16").read_bytes()
    (archive / "vectors.f16").write_bytes(vectors[:-2])
    with pytest.raises(InputError, match=r"vectors.f16 holds 41 of the 42 windows"):
        Archive(archive)
    (archive / "vectors.f16").write_bytes(vectors)
    lines = (archive / "recordings.jsonl").read_text().splitlines()
    (archive / "recordings.jsonl").write_text("\n".join([lines[0], "{}", *lines[2:]]) + "\n")
    with pytest.raises(InputError, match=r"recordings.jsonl, line 2 cannot be used"):
        Archive(archive)
    facts = json.loads((archive / "archive.json").read_text())
    (archive / "archive.json").write_text(json.dumps({**facts, "format": "other"}))
    with pytest.raises(InputError, match='its format is "other"'):
        Archive(archive)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a place that cannot be written")
def test_places_that_cannot_be_written(recordings, monkeypatch):
    Path("file").write_text("")
    with pytest.raises(InputError, match="file could not be written"):
        embed(input_path="recordings", archive="file", model=MODEL)

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(BriteKitError, match="archive could not be written: read-only file system"):
        embed(input_path="recordings", archive="archive", model=MODEL)


def test_one_writer_at_a_time(archive):
    from britekit.processes import alone

    write_recording(Path("recordings/new.wav"), 5.0)
    with alone(archive / ".lock", ""), pytest.raises(InputError, match="another embed is writing into archive"):
        embed(input_path="recordings", archive="archive")
