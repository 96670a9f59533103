"""What goes into the training pickle, in which order, and that the standard library reads it."""

import pickle
import sqlite3
import zlib

import numpy as np
import pytest
from sqlalchemy import update

from britekit.annotations.classes import ClassInfo
from britekit.api.pickler import Pickler
from britekit.database.classes import add_class
from britekit.database.recordings import Facts, add_recording
from britekit.database.schema import Class
from britekit.database.segments import add_links, add_segments
from britekit.database.session import open_database
from britekit.database.spectrograms import add_values, get_or_add_group
from britekit.datasets.pickle_writer import PickleWriter
from britekit.datasets.pickling import write_training_pickle
from britekit.datasets.selection import select_spectrograms
from britekit.errors import DatabaseError, InputError
from tests.datasets.conftest import compressed, small_config

H, W = 2, 3


class Builder:
    """Fills a database row by row."""

    def __init__(self, path):
        self.path = path
        self.classes = {}

    def fill(self, segments, groups=("default",), facts=None):
        """Add one recording with a segment per set of class names."""
        with open_database(self.path, "create") as session:
            for name in sorted({name for names in segments for name in names} - set(self.classes)):
                self.classes[name] = add_class(session, name, name[:3].upper())
            count = len(self.classes) + len(segments)
            recording = add_recording(session, 1, f"r{count}.wav", "x", 9.0, facts)
            ids = add_segments(session, recording, [float(n) for n in range(len(segments))])
            add_links(session, ((i, self.classes[name]) for i, names in zip(ids, segments) for name in names))
            for group in groups:
                number = get_or_add_group(session, group, {"max_freq": 8000})
                add_values(session, number, [(i, compressed([[i % 256] * W] * H)) for i in ids])


@pytest.fixture
def builder(tmp_path):
    return Builder(tmp_path / "t.db")


def write(builder, classes=None, **options):
    output = builder.path.with_name("t.pkl")
    wanted = None if classes is None else [ClassInfo(name) for name in classes]
    with open_database(builder.path) as session:
        counts, total = write_training_pickle(session, output, H, W, wanted, **options)
    with open(output, "rb") as file:
        content = pickle.load(file)
    assert total == len(content["spec_values"])
    return counts, content


def test_content(builder):
    builder.fill([{"Wren"}, {"Robin", "Wren"}], facts=Facts(group_name="marsh"))
    builder.fill([{"Robin"}])
    builder.fill([{"Wren"}], facts=Facts(group_name="marsh"))
    counts, content = write(builder)
    assert counts == {"Robin": 2, "Wren": 3}
    assert content["class_names"] == ["Robin", "Wren"] and content["class_codes"] == ["ROB", "WRE"]
    assert content["alt_names"] == content["alt_codes"] == ["", ""]
    assert (content["spec_height"], content["spec_width"], content["audio"]) == (H, W, {"max_freq": 8000})
    assert content["spec_class_indexes"] == [[1], [0, 1], [0], [1]]
    assert content["spec_segment_ids"] == [1, 2, 3, 4]
    assert content["spec_recording_ids"] == [1, 1, 2, 3]
    assert content["spec_group_ids"] == [1, 1, 2, 1]
    assert [zlib.decompress(value)[0] for value in content["spec_values"]] == [1, 2, 3, 4]


def test_class_list_decides_order_and_mixed_segments(builder):
    builder.fill([{"Wren"}, {"Robin", "Wren"}, {"Robin"}, {"Owl"}, {"Robin", "Owl"}])
    _counts, content = write(builder, ["Wren", "Robin"])
    assert content["class_names"] == ["Wren", "Robin"]
    assert content["spec_segment_ids"] == [1, 2, 3]
    assert content["spec_class_indexes"] == [[0], [0, 1], [1]]
    _counts, content = write(builder, ["Wren", "Robin"], keep_mixed=True)
    assert content["spec_segment_ids"] == [1, 2, 3, 5] and content["spec_class_indexes"][3] == [1]


def test_most_per_class(builder):
    builder.fill([{"Wren"}] * 50 + [{"Wren", "Robin"}] * 8, groups=("default", "second"))
    counts, first = write(builder, max_per_class=10)
    assert counts == {"Robin": 8, "Wren": 10}  # the rare class chooses first
    _counts, second = write(builder, max_per_class=10, group="second")
    assert first["spec_segment_ids"] == second["spec_segment_ids"] == sorted(first["spec_segment_ids"])
    counts, _content = write(builder, max_per_class=3)
    assert max(counts.values()) == 3
    counts, _content = write(builder, max_per_class=1000)
    assert counts == {"Robin": 8, "Wren": 58}
    with pytest.raises(InputError, match="--max at least 1"):
        write(builder, max_per_class=0)


def test_choice_is_spread(builder):
    """A fixed seed, but not simply the first ones."""
    builder.fill([{"Wren"}] * 400)
    _counts, content = write(builder, max_per_class=100)
    assert 150 < np.mean(content["spec_segment_ids"]) < 250


def test_equal_bytes(builder):
    builder.fill([{"Wren"}, {"Robin"}] * 700)
    write(builder)
    first = builder.path.with_name("t.pkl").read_bytes()
    write(builder)
    assert builder.path.with_name("t.pkl").read_bytes() == first


def test_errors(builder):
    builder.fill([{"Wren"}, {"Wren", "Robin"}])
    with pytest.raises(DatabaseError, match='no class "Wrem"; did you mean "Wren"'):
        write(builder, ["Wrem"])
    with pytest.raises(DatabaseError, match='group "fine" is not in'):
        write(builder, group="fine")
    with pytest.raises(DatabaseError, match='no spectrogram of class "Robin".*--keep-mixed'):
        write(builder, ["Robin"])
    with open_database(builder.path, "write") as session:
        add_class(session, "Owl")
        add_class(session, "Jay", "JAY")
    with pytest.raises(DatabaseError, match='no code for class "Owl"'):
        write(builder)
    wanted = [ClassInfo("Jay"), ClassInfo("Owl", "OWL"), ClassInfo("Wren"), ClassInfo("Robin")]
    output = builder.path.with_name("x.pkl")
    with open_database(builder.path) as session:  # noqa: SIM117
        with pytest.raises(DatabaseError, match='no spectrogram of class "Jay", "Owl"'):
            write_training_pickle(session, output, H, W, wanted)
    assert not builder.path.with_name("x.pkl").exists()


def test_value_of_another_size_names_the_segment(builder):
    builder.fill([{"Wren"}] * 300)
    with open_database(builder.path) as session:  # noqa: SIM117
        with pytest.raises(DatabaseError, match=r"segment 1 .* 2 × 4: it holds 6 bytes, expected 8"):
            write_training_pickle(session, builder.path.with_name("x.pkl"), 2, 4)
    assert not builder.path.with_name("x.pkl").exists()


def test_selection_of_few_classes_asks_for_few_rows(builder):
    builder.fill([{"Wren"}] * 5 + [{"Owl"}] * 300)
    with open_database(builder.path) as session:
        chosen = select_spectrograms(session, 1, [ClassInfo("Wren", "W")])
    assert chosen.segment_ids.tolist() == [1, 2, 3, 4, 5]


def test_pickler_class(builder, capsys):
    builder.fill([{"Wren"}, {"Robin"}])
    cfg = small_config()
    cfg.audio.spec_height, cfg.audio.spec_width = 32, 32
    with pytest.raises(DatabaseError, match="32 × 32"):
        Pickler(str(builder.path), str(builder.path.with_name("p.pkl")), cfg=cfg).pickle()
    with open_database(builder.path, "write") as session:
        group = get_or_add_group(session, "big")
        add_values(session, group, [(1, compressed(np.zeros((32, 32)))), (2, compressed(np.ones((32, 32))))])
    maker = Pickler(str(builder.path), str(builder.path.with_name("p.pkl")), spec_group="big", cfg=cfg)
    assert maker.pickle(quiet=False) == {"Robin": 1, "Wren": 1}
    assert capsys.readouterr().out == "Robin = 1\nWren = 1\n"


def test_writer_writes_what_the_standard_library_reads(tmp_path):
    content = {
        "none": None, "yes": True, "no": False, "text": "Eule 🦉\n", "empty": "",
        "float": [0.1, -1e300, float("inf")],
        "int": [0, 1, 255, 256, -1, 65535, 2**31 - 1, 2**31, -(2**31) - 1, 2**63, 2**100, -(2**100)],
        "bytes": [b"", b"x" * 300], "nested": {"a": [{}, [], (), (1, "two", (3,))], "b": {"c": None}},
    }  # fmt: skip
    with open(tmp_path / "x.pkl", "wb") as file:
        writer = PickleWriter(file)
        for key, value in content.items():
            writer.entry(key, value)
        writer.list_entry("many", iter(range(2500)))
        writer.list_entry("nothing", iter(()))
        writer.close()
    with open(tmp_path / "x.pkl", "rb") as file:
        assert pickle.load(file) == {**content, "many": list(range(2500)), "nothing": []}


def test_links_without_a_class_are_no_labels(builder):
    builder.fill([{"Wren"}, {"Robin"}, {"Wren"}])
    connection = sqlite3.connect(builder.path)
    connection.execute("INSERT INTO SegmentClass (SegmentID, ClassID) VALUES (1, NULL)")
    connection.execute("INSERT INTO SegmentClass (SegmentID, ClassID) VALUES (NULL, 1)")
    connection.execute("DELETE FROM SegmentClass WHERE ID = 3")
    connection.execute("INSERT INTO SegmentClass (SegmentID, ClassID) VALUES (3, NULL)")
    connection.commit()
    connection.close()
    for classes in (None, ["Robin", "Wren"]):
        counts, content = write(builder, classes)
        assert counts == {"Robin": 1, "Wren": 1}
        assert content["spec_segment_ids"] == [1, 2]
        assert content["spec_class_indexes"] == [[1], [0]]


def test_two_classes_of_one_code(builder):
    builder.fill([{"Wren"}, {"Robin"}])
    with open_database(builder.path, "write") as session:
        session.execute(update(Class).where(Class.name == "Wren").values(code=None))
    output = builder.path.with_name("t.pkl")
    with open_database(builder.path) as session:
        wanted = [ClassInfo("Robin"), ClassInfo("Wren", "ROB")]
        with pytest.raises(DatabaseError, match='"Robin" and "Wren" have the same code "ROB"'):
            write_training_pickle(session, output, H, W, wanted)


def test_labels_that_the_class_list_gives_differently_are_told(builder, caplog):
    builder.fill([{"Wren"}, {"Robin"}])
    with open_database(builder.path) as session:
        wanted = [ClassInfo("Robin", "ROB", "Erithacus"), ClassInfo("Wren", "WR")]
        write_training_pickle(session, builder.path.with_name("t.pkl"), H, W, wanted)
    [record] = caplog.records
    assert 'class "Wren" has the code "WRE"' in record.message and '"WR" in the class list' in record.message


def test_hint_about_classes_left_out_only_where_some_are(builder):
    builder.fill([{"Wren"}])
    with open_database(builder.path, "write") as session:
        add_class(session, "Robin", "ROB")
    for classes, hinted in ((None, False), (["Wren", "Robin"], True)):
        with pytest.raises(DatabaseError, match='no spectrogram of class "Robin"') as raised:
            write(builder, classes)
        assert ("--keep-mixed" in str(raised.value)) is hinted
