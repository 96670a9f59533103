"""Small inputs that would expand to gigabytes, or nest without end: each is one sentence, at once."""

import io
import json
import resource
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
import torch

from britekit.annotations.classes import ClassInfo
from britekit.annotations.scores import ScoreTable
from britekit.config.fields import show
from britekit.config.yaml_reader import dump_plain, load_plain
from britekit.database.recordings import add_recording, get_or_add_source
from britekit.database.samples import stored_sizes
from britekit.database.segments import add_segments
from britekit.database.session import open_database
from britekit.database.spectrograms import add_values, get_or_add_group
from britekit.database.summary import summarize
from britekit.errors import InputError, ModelError
from britekit.evaluation.score_reading import read_manifest
from britekit.inference.platt import read_calibration
from britekit.models.checkpoint import check_entries, read_archive

LEVELS = 22
# 613 bytes that stand for 2^22 times "lol", and with a level more for twice as many.
LAUGHS = "coefficient: &a0 [lol, lol]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, LEVELS))
LAUGHS += f"intercept: *a{LEVELS - 1}\n"
MERGES = "a: &a {coefficient: 1}\n<<: [*a, *a]\nintercept: 0\n"


@pytest.fixture
def little_memory():
    """Expanding any of these inputs takes more than the 2 GiB that are left above what is in use."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("text", [LAUGHS, MERGES, "coefficient: " + "[" * 100_000, "coefficient: 0x" + "f" * 5000])
def test_files_of_ours_have_no_aliases_and_no_depth(tmp_path, little_memory, text):
    path = tmp_path / "manifest.yaml"
    path.write_text(text)
    for read, where in ((read_calibration, path), (read_manifest, tmp_path)):
        with pytest.raises(InputError) as caught:
            read(where)
        assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


def test_what_is_written_reads_back():
    """The same list twice is written twice; codes that look like numbers stay codes."""
    members = ["a.ckpt"]
    value = {"one": members, "two": members, "codes": ["1e5", "no", "0o17", "0x1F", "007", "2024-01-01", "~", "1:30"]}
    text = dump_plain(value)
    assert "&" not in text and "*" not in text
    assert load_plain(text) == value


def test_values_in_messages_are_cut(little_memory):
    for value in (10**5000, "x" * 10**6, {"a": ["x" * 10**6] * 1000}):
        assert len(show(value)) <= 60
        for _ in range(9):
            value = [value] * 10
        assert len(show(value)) <= 60


def test_scores_that_inflate(tmp_path, little_memory):
    table = ScoreTable(
        ["a"], np.ones(1), np.zeros(1, np.int32), np.zeros(1), 5.0, [ClassInfo("x", "x", "", "")],
        np.zeros((1, 1), np.float32),
    )  # fmt: skip
    table.save(tmp_path / "scores.npz")
    assert ScoreTable.load(tmp_path / "scores.npz").recordings == ["a"]
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(tmp_path / "scores.npz") as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name == "scores.npy":
                header = io.BytesIO()
                shape = {"descr": "<f4", "fortran_order": False, "shape": (1 << 30, 1)}
                np.lib.format.write_array_header_1_0(header, shape)
                with new.open(name, "w", force_zip64=True) as stream:
                    stream.write(header.getvalue())
                    for _ in range(64):
                        stream.write(bytes(1 << 22))
            else:
                new.writestr(name, old.read(name))
    assert bomb.stat().st_size < 400_000
    with pytest.raises(InputError, match="would expand to"):
        ScoreTable.load(bomb)


def test_checkpoints_that_inflate(tmp_path, little_memory):
    plain, bomb = tmp_path / "a.ckpt", tmp_path / "b.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(1 << 22)}}, plain)
    assert read_archive(plain)[0]["state_dict"]["a"].shape == (1 << 22,)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ModelError, match="damaged"):
        read_archive(bomb)
    spread = {
        "state_dict": {"a": torch.zeros(1).expand(1 << 40)},
        "hyper_parameters": {},
        "training_cfg": {},
        "identifier": "",
    }
    torch.save(spread, plain)
    with pytest.raises(ModelError, match="more than weights"):
        check_entries(read_archive(plain)[0], plain)


def test_stored_spectrograms_that_inflate(tmp_path, little_memory):
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 24)) for _ in range(8)) + packer.flush()  # 128 MiB
    with open_database(tmp_path / "a.db", "create") as session:
        recording = add_recording(session, get_or_add_source(session, "x"), "a.wav", "/a", 9.0)
        (segment,) = add_segments(session, recording, [0.0])
        add_values(session, get_or_add_group(session, "default"), [(segment, bomb)])
        sizes = stored_sizes(session, summarize(session).groups[0])
    assert sizes == {1 << 26}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("audio: {n_fft: 1073741824}", "takes too much memory"),
        ("audio: {n_fft: " + "9" * 5000 + "}", "cannot be read as a number"),
        ("audio: {n_fft: 0x" + "f" * 5000 + "}", "cannot be read as a number"),
        ("audio: " + "[" * 100_000, "nested too deeply"),
    ],
    ids=["large", "decimal", "hexadecimal", "deep"],
)
def test_settings_that_ask_for_too_much(tmp_path, settings, expected):
    (tmp_path / "params.yaml").write_text(settings)
    done = subprocess.run([sys.executable, "-m", "britekit", "train"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and expected in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000], ids=["deep", "huge"])
def test_what_no_reader_foresaw_ends_at_the_door(monkeypatch, capsys, text):
    from britekit import cli

    monkeypatch.setattr(cli, "_run", lambda *_: json.loads(text) + int(text))
    assert cli.main(["models"]) == 1
    assert capsys.readouterr().err.startswith("Error: the input ")
