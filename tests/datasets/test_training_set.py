"""Reading pickles: our own, other people's, damaged ones and hostile ones."""

import datetime
import os
import pickle
import random
import struct

import numpy as np
import pytest

from britekit.datasets.training_set import read_training_set
from britekit.errors import InputError
from tests.datasets.conftest import compressed

H, W = 3, 4


def content(count=5, **changes):
    images = [np.full((H, W), n) for n in range(count)]
    result = {
        "class_names": ["Robin", "Wren"],
        "class_codes": ["ROB", "WRE"],
        "alt_names": ["", "Troglodytes"],
        "alt_codes": ["", ""],
        "spec_values": [compressed(image) for image in images],
        "spec_class_indexes": [[n % 2] for n in range(count)],
        "spec_segment_ids": list(range(10, 10 + count)),
        "spec_recording_ids": [n // 2 for n in range(count)],
        "spec_group_ids": [7] * count,
        "spec_height": H,
        "spec_width": W,
        "audio": {"max_freq": 8000, "choose_channel": True, "n_fft": None},
    }
    return {key: value for key, value in {**result, **changes}.items() if value is not ...}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.pkl"


def read(path, value, protocol=4, **options):
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
    return read_training_set(path, **options)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_arrays(path, protocol, workers):
    found = read(path, content(100), protocol, workers=workers)
    assert found.images.shape == (100, H, W) and found.images.dtype == np.uint8
    assert (found.images == np.arange(100)[:, None, None]).all()
    assert found.labels.dtype == np.uint8 and found.labels[:3].tolist() == [[1, 0], [0, 1], [1, 0]]
    assert [info.name for info in found.classes] == ["Robin", "Wren"] and found.classes[1].alt_name == "Troglodytes"
    assert found.group_ids.tolist() == [7] * 100 and found.group_ids.dtype == np.int64
    assert found.recording_ids[:4].tolist() == [0, 0, 1, 1] and found.segment_ids[0] == 10
    assert found.audio == {"max_freq": 8000, "choose_channel": True, "n_fft": None}


def test_values_first_and_more_than_foreseen(path):
    count = 2600
    values = content(count)
    found = read(path, {"spec_values": values.pop("spec_values"), **values})
    assert (found.images[:, 0, 0] == np.arange(count) % 256).all()
    assert found.images.flags.c_contiguous


def test_value_that_occurs_twice(path):
    shared = compressed(np.full((H, W), 9))
    found = read(path, content(2, spec_values=[shared, shared]))
    assert found.images[:, 0, 0].tolist() == [9, 9]


def test_optional_keys(path):
    found = read(path, content(spec_group_ids=..., audio=...))
    assert found.group_ids.tolist() == [0, 0, 1, 1, 2] and found.audio == {}
    found = read(path, content(spec_group_ids=..., spec_recording_ids=..., spec_segment_ids=...))
    assert found.group_ids.tolist() == [0, 1, 2, 3, 4]
    assert found.recording_ids is None and found.segment_ids is None


def test_size_from_the_settings(path):
    small = content(spec_height=..., spec_width=...)
    assert read(path, small, size=(H, W)).images.shape == (5, H, W)
    with pytest.raises(InputError, match="spec_height"):
        read(path, small)
    with pytest.raises(InputError, match="3 × 4, the settings say 4 × 3"):
        read(path, content(), size=(4, 3))


@pytest.mark.parametrize(
    "changes, key",
    [
        ({"class_names": ...}, "class_names"),
        ({"class_names": []}, "class_names"),
        ({"class_names": ["Robin", 3]}, "class_names"),
        ({"class_names": ["Robin", "Robin"]}, "class_names"),
        ({"class_codes": ["ROB"]}, "class_codes"),
        ({"alt_names": "ab"}, "alt_names"),
        ({"spec_values": ...}, "spec_values"),
        ({"spec_values": []}, "spec_values"),
        ({"spec_values": [1, 2, 3, 4, 5]}, "spec_values"),
        ({"spec_values": [b"no zlib"] * 5}, "spec_values"),
        ({"spec_values": [compressed(np.zeros(12))] * 4 + [compressed(np.zeros(13))]}, "spec_values"),
        ({"spec_values": [compressed(np.zeros(13))] * 5}, "spec_values"),
        ({"spec_class_indexes": [[0]] * 4}, "spec_class_indexes"),
        ({"spec_class_indexes": [[0]] * 4 + [[]]}, "spec_class_indexes"),
        ({"spec_class_indexes": [[0]] * 4 + [[2]]}, "spec_class_indexes"),
        ({"spec_class_indexes": [[0]] * 4 + [[-1]]}, "spec_class_indexes"),
        ({"spec_class_indexes": [[0]] * 4 + [["0"]]}, "spec_class_indexes"),
        ({"spec_class_indexes": [0] * 5}, "spec_class_indexes"),
        ({"spec_recording_ids": [1, 2]}, "spec_recording_ids"),
        ({"spec_group_ids": ["a"] * 5}, "spec_group_ids"),
        ({"spec_segment_ids": [2**70] * 5}, "spec_segment_ids"),
        ({"spec_height": -3}, "spec_height"),
        ({"spec_width": "4"}, "spec_width"),
        ({"audio": [1]}, "audio"),
    ],
)
def test_the_bad_key_is_named(path, changes, key):
    with pytest.raises(InputError, match=f'key "{key}"'):
        read(path, content(**changes))


class Runs:
    """What an attacker stores: unpickling it writes a file."""

    def __reduce__(self):
        return os.system, ("touch ran",)


class Builds:
    def __init__(self):
        self.x = 1


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("key", ["class_names", "spec_values", "audio", "spec_group_ids"])
def test_code_is_refused_and_the_key_named(path, monkeypatch, protocol, key):
    monkeypatch.chdir(path.parent)
    evil = (
        content(**{key: [Runs()]}, spec_values=...)
        if protocol < 3 and key != "spec_values"
        else content(**{key: [Runs()]})
    )
    with pytest.raises(InputError, match=r"would run code when loaded") as caught:
        read(path, evil, protocol)
    assert not (path.parent / "ran").exists()
    if protocol >= 3:
        assert f'key "{key}"' in str(caught.value) and "system" in str(caught.value)


@pytest.mark.parametrize(
    "value", [Builds(), {1, 2}, frozenset(), 1j, datetime.date(2024, 1, 1), np.float32(1), bytearray(b"x")]
)
def test_other_types_are_refused(path, value):
    for protocol in (4, 5):
        with pytest.raises(InputError, match='key "audio"'):
            read(path, content(audio={"x": value}), protocol)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Name,Code\nRobin,ROB\n",
        b"\x80\x04]\x94.",
        b"\x80\x04N.",
        pickle.dumps([1, 2]),
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60),
        b"\x80\x04B" + struct.pack("<I", 0xFFFFFFFF),
        b"\x80\x02]r\xff\xff\xff\x7f.",
        b"\x80\x04}(]K\x01u.",
        b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x04" + b"(" * 50_000 + b"t" * 50_000 + b".",
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b"(S'touch ran'\nios\nsystem\n.",
    ],
)
def test_no_training_pickles(path, raw):
    with pytest.raises(InputError, match=str(path)):
        read(path, raw)


def test_missing_file(path):
    with pytest.raises(InputError, match="does not exist"):
        read_training_set(path)


def test_damage_anywhere_is_an_error_or_harmless(path):
    """Cut or flipped anywhere, the file is refused in one sentence or read; nothing else is raised."""
    whole = pickle.dumps(content(), 4)
    rng = random.Random(1)
    for _time in range(300):
        raw = bytearray(whole)
        if rng.random() < 0.3:
            del raw[rng.randrange(len(raw)) :]
        else:
            for _flip in range(rng.randint(1, 4)):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            read(path, bytes(raw))
        except InputError as error:
            assert "\n" not in str(error)
