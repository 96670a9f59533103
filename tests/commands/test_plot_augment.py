"""plot-augment as a person runs it, and what its pictures are made of."""

import logging
import pickle
import zlib

import numpy as np
import pytest
from PIL import Image

from britekit.cli import main
from britekit.config import BaseConfig
from britekit.config.augmentations import KNOWN
from britekit.database.classes import get_or_add_class
from britekit.database.schema import Recording, Segment, SegmentClass
from britekit.database.session import open_database
from britekit.database.spectrograms import add_values, encode, get_or_add_group
from britekit.datasets.augmentations.registry import Fade
from britekit.datasets.before_after import LikeTraining, augmentation_examples
from britekit.datasets.excerpt import read_database_excerpt, read_pickle_excerpt
from britekit.datasets.mixing import MixSettings
from britekit.errors import BriteKitError
from tests.training.conftest import make_pickle

SIZE = (32, 64)
WAYS = {"simple_merge", "mixup", "cutmix", *KNOWN, "fade", "training"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_pickle(tmp_path / "data" / "training.pkl", count=30)
    (tmp_path / "c.yaml").write_text("audio: {spec_height: 32, spec_width: 64}\n")
    return tmp_path


def make_database(path, classes=("Noise", "Low", "High"), count=12):
    """Spectrogram k of class k mod C is filled with the byte 10 k."""
    with open_database(path, "create") as session:
        ids = [get_or_add_class(session, name, name[:4].upper()) for name in classes]
        group = get_or_add_group(session, "default")
        recording = Recording(filename="a.wav", source_id=1)
        session.add(recording)
        session.flush()
        for k in range(count):
            segment = Segment(recording_id=recording.id, offset=float(k))
            session.add(segment)
            session.flush()
            session.add(SegmentClass(segment_id=segment.id, class_id=ids[k % len(ids)]))
            add_values(session, group, [(segment.id, encode(np.full(SIZE, 10 * k / 255)))])
    return path


def test_one_picture_per_way_from_the_pickle(project, capsys):
    assert main(["plot-augment", "-c", "c.yaml", "-o", "deep/pics", "--num", "2"]) == 0
    assert f"pictures = {len(WAYS)}" in capsys.readouterr().out
    found = sorted((project / "deep" / "pics").iterdir())
    assert {path.stem for path in found} == WAYS
    for path in found:
        assert path.suffix == ".jpeg"
        assert np.asarray(Image.open(path)).std() > 10, "something is drawn"


def test_parameters_and_chances_change_the_pictures(project):
    first = project / "first"
    assert main(["plot-augment", "-c", "c.yaml", "-o", str(first), "--num", "1"]) == 0
    before = {path.stem: path.read_bytes() for path in first.iterdir()}
    assert main(["plot-augment", "-c", "c.yaml", "-o", str(first), "--num", "1"]) == 0
    assert {path.stem: path.read_bytes() for path in first.iterdir()} == before
    (project / "d.yaml").write_text(
        "audio: {spec_height: 32, spec_width: 64}\n"
        "train: {augmentations: [{name: time_mask, params: {max_width2: 30}}]}\n"
    )
    assert main(["plot-augment", "-c", "d.yaml", "-o", str(first), "--num", "1"]) == 0
    changed = {path.stem for path in first.iterdir() if path.read_bytes() != before[path.stem]}
    assert changed == {"time_mask"}, "the picture of an earlier run is replaced"


@pytest.mark.parametrize("multi_label, chance", [("true", 0.32), ("false", 0.0)])
def test_merging_is_off_where_training_does_not_merge(project, monkeypatch, multi_label, chance):
    seen = []
    monkeypatch.setattr(
        "britekit.datasets.before_after.augmentation_examples", lambda *given: seen.append(given[2]) or []
    )
    (project / "c.yaml").write_text(
        "audio: {spec_height: 32, spec_width: 64}\n" + f"train: {{multi_label: {multi_label}}}\n"
    )
    assert main(["plot-augment", "-c", "c.yaml", "-o", "pics"]) == 0
    assert seen[0].prob_merge == chance


def test_examples_are_what_the_names_say(project):
    train = BaseConfig().train
    excerpt = read_pickle_excerpt("data/training.pkl", SIZE, "Low", "Noise", 3)
    examples = {
        example.name: example
        for example in augmentation_examples(excerpt, train.augmentations, MixSettings(0.3), Fade(0.4, 0.1, 0.2))
    }
    assert list(examples) == [
        "simple_merge", "mixup", "cutmix", *[entry.name for entry in train.augmentations], "fade", "training",
    ]  # fmt: skip
    before = examples["fade"].before
    assert before.shape == (3, *SIZE)

    def normal(images):
        return images / images.max((1, 2), keepdims=True)

    np.testing.assert_allclose(examples["flip_horizontal"].after, normal(before[:, :, ::-1]), atol=1e-6)
    level = (examples["fade"].after / np.maximum(normal(before), 1e-9)).max((1, 2))
    assert ((level >= 0.1) & (level <= 0.2)).all()
    assert ((examples["time_mask"].after == 0).all(1).any(1)).all()
    assert ((examples["freq_mask"].after == 0).all(2).any(1)).all()
    # Class Low has its bar in another row than class High: merged, there are bars in both.
    high = 2 + 2 * (SIZE[0] // 3)
    assert (before[:, high + 1].max(1) < 0.5).all()
    assert (examples["simple_merge"].after[:, high + 1].max(1) > 0.5).all()
    assert examples["time_mask"].title == "time_mask (probability 0): max_width2 8"
    assert examples["fade"].title == "fade (probability 0.4): min_fade1 0.1, max_fade1 0.2"


def test_without_noise_and_with_one_class_what_cannot_be_is_left_out(project, caplog):
    make_pickle(project / "one.pkl", count=6, classes=("Low",))
    excerpt = read_pickle_excerpt("one.pkl", SIZE, None, "Noise", 2)
    with caplog.at_level(logging.WARNING):
        names = [
            e.name for e in augmentation_examples(excerpt, BaseConfig().train.augmentations, MixSettings(0.3), Fade())
        ]
    assert set(names) == WAYS - {"simple_merge", "add_real_noise"}
    assert "add_real_noise is off" in caplog.text and "simple merge is off" in caplog.text


def test_a_database_gives_the_class_asked_for(project, capsys):
    make_database(project / "t.db")
    with open_database(project / "t.db") as session:
        excerpt = read_database_excerpt(session, SIZE, "Low", "Noise", 3)
        everything = read_database_excerpt(session, SIZE, None, "Noise", 50)
    levels = excerpt.images[:, 0, 0] // 10
    assert excerpt.shown == 3 and set(levels[:3] % 3) == {1}
    assert set(levels[3:6] % 3) == {2} and set(levels[6:] % 3) == {0}
    assert [excerpt.classes[k].name for k in excerpt.labels.argmax(1)[[0, 3, 6]]] == ["Low", "High", "Noise"]
    assert everything.shown == 8, "all but noise"
    assert main(["plot-augment", "-c", "c.yaml", "--db", "t.db", "--name", "High", "-o", "pics", "--num", "1"]) == 0
    assert len(list((project / "pics").iterdir())) == len(WAYS)


def test_few_of_many_are_decoded(project, monkeypatch):
    """A file of a hundred thousand is walked, not unpacked."""
    import britekit.datasets.excerpt as module

    calls = []
    real = module.decode
    monkeypatch.setattr(module, "decode", lambda *arguments: calls.append(1) or real(*arguments))
    read_pickle_excerpt("data/training.pkl", SIZE, None, "Noise", 2)
    assert 2 + 2 <= len(calls) <= 2 + 2 + 2  # shown, of other classes, of noise


@pytest.mark.parametrize(
    "options, said",
    [
        (["--pickle", "none.pkl"], "none.pkl does not exist"),
        (["--db", "none.db"], "none.db"),
        (["--db", "t.db", "--pickle", "data/training.pkl"], "one of them"),
        (["--name", "Lowe"], 'did you mean "Low"'),
        (["--db", "t.db", "--name", "Hig"], 'did you mean "High"'),
        (["--db", "t.db", "--sgroup", "others"], "others"),
        (["--num", "0"], "--num 0"),
        (["--power", "0"], "--power 0"),
        (["--seed", "-1"], "--seed -1"),
        (["--pickle", "evil.pkl"], "evil.pkl"),
        (["--pickle", "size.pkl"], "audio.spec_height"),
    ],
)
def test_one_sentence_and_no_directory(project, capsys, options, said):
    make_database(project / "t.db")

    class Evil:
        def __reduce__(self):
            return print, ("executed",)

    (project / "evil.pkl").write_bytes(pickle.dumps({"spec_values": Evil()}))
    make_pickle(project / "size.pkl", size=(16, 64))
    assert main(["plot-augment", "-c", "c.yaml", "-o", "pics", *options]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("Error: ") and printed.err.count("\n") == 1
    assert said in printed.err and "executed" not in printed.out
    assert not (project / "pics").exists()


def test_a_damaged_spectrogram_is_one_sentence(project):
    path = project / "data" / "training.pkl"
    content = pickle.loads(path.read_bytes())
    content["spec_values"] = [zlib.compress(b"short")] * len(content["spec_values"])
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(BriteKitError, match="cannot be used"):
        read_pickle_excerpt(path, SIZE, None, "Noise", 2)


def test_plot_db_shows_what_training_sees(project, capsys):
    make_database(project / "t.db")
    (project / "d.yaml").write_text(
        "audio: {spec_height: 32, spec_width: 64}\n"
        "train: {prob_simple_merge: 0, prob_fade1: 0, augmentations: [{name: add_real_noise, prob: 0}, "
        "{name: shift_horizontal, prob: 0}, {name: freq_mask, prob: 1, params: {max_width1: 1}}]}\n"
    )
    plain = ["plot-db", "-d", "t.db", "--name", "High", "--ndims"]
    assert main([*plain, "-c", "c.yaml", "-o", "plain"]) == 0
    assert main([*plain, "-c", "d.yaml", "-o", "masked", "--augment"]) == 0
    before, after = sorted((project / "plain").iterdir()), sorted((project / "masked").iterdir())
    assert [path.name for path in before] == [path.name for path in after] and len(after) == 4
    for one, other in zip(before, after, strict=True):
        assert one.read_bytes() != other.read_bytes()
    capsys.readouterr()
    assert main([*plain[:-2], "Hig", "-o", "none", "--augment", "-c", "c.yaml"]) == 1
    assert 'did you mean "High"' in capsys.readouterr().err


def test_like_training_masks_merges_and_repeats(project):
    make_database(project / "t.db")
    with open_database(project / "t.db") as session:
        pool = read_database_excerpt(session, SIZE, "High", "Noise", 32)
    entries = [entry for entry in BaseConfig().train.augmentations if entry.name == "freq_mask"]
    entries[0].prob, entries[0].params = 1.0, {"max_width1": 1}
    images = np.full((3, *SIZE), 51 / 255, np.float32)

    def make():
        return LikeTraining(pool, "High", entries, MixSettings(prob_merge=1.0), Fade(1.0, 0.5, 0.5))

    change = make()
    first, second = change(images), change(images)
    for out in (first, second):
        assert ((out == 0).all(2).sum(1) == 1).all(), "one row of each is masked"
        assert out.max((1, 2)) == pytest.approx(0.5), "divided by the maximum of what was merged, then faded"
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, make()(images))
