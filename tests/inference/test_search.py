"""Embedding, searching and finding duplicates in a database, with a model whose embeddings are known."""

import csv
import importlib
import re
import shutil
import sqlite3
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from sqlalchemy import select

from britekit import commands
from britekit.api.audio import Audio
from britekit.audio.files import find_recordings
from britekit.database.embeddings import decode_embedding, encode_embedding
from britekit.database.schema import Class
from britekit.database.session import open_database
from britekit.datasets.adding import extract_folder
from britekit.errors import DatabaseError, InputError, ModelError
from tests.inference.conftest import CFG, CLASSES, stored
from tests.inference.fakes import make_fake_member

# The server is a fixture of the database's tests.
_shared = importlib.import_module("tests.database.conftest")
postgres_server, postgres_url = _shared.postgres_server, _shared.postgres_url


def change(statement, values=(), db="t.db"):
    connection = sqlite3.connect(db)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def expected_embedding(value):
    image = np.frombuffer(zlib.decompress(value), np.uint8).reshape(32, 64)
    return (image / 255.0).mean(axis=1)


def results(folder):
    with open(Path(folder) / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_embeddings_are_those_of_the_model_in_the_public_form(project, capsys):
    assert commands.embed() == 12
    assert capsys.readouterr().out.splitlines() == ["Owl = 6", "Wren = 6", "embeddings = 12"]
    rows = stored("SELECT Value, Embedding FROM SpecValue")
    assert len(rows) == 12
    for value, embedding in rows:
        # zlib-compressed little-endian 32-bit floats, read here without our reader.
        found = np.frombuffer(zlib.decompress(embedding), "<f4")
        np.testing.assert_allclose(found, expected_embedding(value), atol=1e-6)


def test_one_class_only_and_shared_segments_once(project, capsys):
    with open_database("t.db", "write") as session:
        extract_folder(session, CFG, find_recordings("Wren"), "Thrush")
    assert commands.embed(class_name="Wren") == 6
    assert stored("SELECT count(*) FROM SpecValue WHERE Embedding IS NOT NULL") == [(6,)]
    capsys.readouterr()
    assert commands.embed() == 12
    assert capsys.readouterr().out.splitlines()[:3] == ["Owl = 6", "Thrush = 6", "Wren = 6"]


def test_several_models_give_the_mean(project):
    make_fake_member(project / "search", CLASSES, name="seed-2", seed=5)
    commands.embed()
    ((value, embedding),) = stored("SELECT Value, Embedding FROM SpecValue LIMIT 1")
    np.testing.assert_allclose(decode_embedding(embedding), expected_embedding(value), atol=1e-6)


def test_interrupted_embedding_is_repeated(project, monkeypatch):
    module = importlib.import_module("britekit.inference.embed_database")
    monkeypatch.setattr(module, "BATCH", 5)
    original, calls = module.write_embeddings, []

    def second_fails(session, embeddings):
        original(session, embeddings)
        calls.append(len(embeddings))
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_embeddings", second_fails)
    with pytest.raises(KeyboardInterrupt):
        commands.embed()
    # Of the first batch all are stored, of the second none.
    assert stored("SELECT count(*) FROM SpecValue WHERE Embedding IS NOT NULL") == [(5,)]
    monkeypatch.setattr(module, "write_embeddings", original)
    assert commands.embed() == 12
    interrupted = stored("SELECT ID, Embedding FROM SpecValue ORDER BY ID")
    change("UPDATE SpecValue SET Embedding = NULL")
    commands.embed()
    assert stored("SELECT ID, Embedding FROM SpecValue ORDER BY ID") == interrupted


def test_search_finds_the_segment_itself_first_and_ranks_by_brute_force(project):
    commands.embed()
    found = commands.search(class_name="Wren", input_path="Wren/w1.wav", offset=3.0, output_path="out", max_dist=2.0)
    assert found == 6
    rows = results("out")
    assert list(rows[0]) == ["rank", "recording", "offset", "distance"]
    assert (rows[0]["recording"], float(rows[0]["offset"]), float(rows[0]["distance"])) == ("w1.wav", 3.0, 0.0)
    vectors = {
        (filename, offset): expected_embedding(value)
        for filename, offset, value in stored(
            "SELECT FileName, Offset, Value FROM SpecValue JOIN Segment ON Segment.ID = SegmentID"
            " JOIN Recording ON Recording.ID = RecordingID WHERE FileName LIKE 'w%'"
        )
    }
    audio = Audio(cfg=CFG)
    audio.load("Wren/w1.wav")
    (image,), _raw = audio.get_spectrograms([3.0])
    target = np.rint(image * 255).mean(axis=1) / 255
    distances = {
        key: 1 - target @ vector / np.linalg.norm(target) / np.linalg.norm(vector) for key, vector in vectors.items()
    }
    order = sorted(distances, key=distances.get)
    assert [(row["recording"], float(row["offset"])) for row in rows] == order
    for row, key in zip(rows, order, strict=True):
        assert float(row["distance"]) == pytest.approx(distances[key], abs=1e-5)
    names = {path.name for path in Path("out").iterdir()}
    assert names == {"results.csv", "contact-sheet.jpeg", "0~w1-3.00~0.0.jpeg"} | {
        f"{row['rank']}~{Path(row['recording']).stem}-{float(row['offset']):.2f}~{float(row['distance']):.3f}.jpeg"
        for row in rows
    }
    for path in Path("out").glob("*.jpeg"):
        assert min(Image.open(path).size) > 50


def test_search_limits_and_exclusion(project):
    commands.embed()
    options = {"class_name": "Wren", "input_path": "Wren/w1.wav", "max_dist": 2.0}
    assert commands.search(output_path="two", num_to_plot=2, **options) == 2
    assert commands.search(output_path="near", **{**options, "max_dist": 0.0}) >= 1
    with open_database("seen.db", "create") as session:
        extract_folder(session, CFG, find_recordings("Wren/w1.wav"), "Known")
    assert commands.search(output_path="rest", exclude_db="seen.db", class_name2="Known", **options) == 4
    assert not [row for row in results("rest") if row["recording"] == "w1.wav"]
    with pytest.raises(DatabaseError, match='class "Wren" is not in seen.db'):
        commands.search(output_path="rest", exclude_db="seen.db", **options)


def test_several_targets_at_once(project):
    commands.embed()
    options = {"class_name": "Wren", "input_path": "Wren/w1.wav", "max_dist": 2.0}
    assert commands.search(output_path="both", offset="0, 3", **options) == 6
    rows = results("both")
    assert [float(row["distance"]) for row in rows[:2]] == [0.0, 0.0]
    assert {row["target"] for row in rows[:2]} == {"w1-0.00", "w1-3.00"}
    single = {}
    for offset in (0.0, 3.0):
        commands.search(output_path=f"one{offset:g}", offset=offset, **options)
        for row in results(f"one{offset:g}"):
            key = row["recording"], row["offset"]
            single[key] = min(single.get(key, 9), float(row["distance"]))
    assert {(row["recording"], row["offset"]): float(row["distance"]) for row in rows} == single


def test_a_server_gives_what_a_file_gives(project, postgres_url, capsys):
    """The whole of it on PostgreSQL: what is printed and written equals that of SQLite."""
    with open_database(postgres_url, "create") as session:
        for name in ("Wren", "Owl"):
            extract_folder(session, CFG, find_recordings(name), name)
    for source in ("Wren/w1.wav", "Wren/w2.wav"):
        shutil.copy(source, source.replace("/w", "/copy-of-w"))
    outputs = {}
    for db in ("t.db", postgres_url):
        folder = Path("file" if db == "t.db" else "server")
        with open_database(db, "write") as session:
            extract_folder(session, CFG, find_recordings("Wren"), "Wren")
            for row in session.scalars(select(Class)):
                row.code = row.name
        capsys.readouterr()
        options = {"class_name": "Wren", "db_path": db}
        assert commands.embed(db_path=db) == 16
        assert commands.search(input_path="Wren/w1.wav", output_path=str(folder), max_dist=2.0, **options)
        assert commands.find_dup(**options) == 10  # their rows are alike in the mean: noise of one loudness
        gone = commands.dedup_seg(
            output_path=str(folder / "dup"), threshold=0.9999, delete=True, no_plot=True, **options
        )
        assert 4 <= gone < 10
        assert commands.reextract(db_path=db) == 16 - gone
        commands.rpt_db(db_path=db, output_path=str(folder / "report"))
        assert commands.pickle(db_path=db, output_path=str(folder / "t.pkl")) == 16 - gone
        printed = capsys.readouterr().out.replace(str(folder), "FOLDER").replace(db, "DB")
        printed = re.sub(r"seconds = .*", "", printed)
        tables = {
            str(path.relative_to(folder)): path.read_text().replace(db, "DB") for path in sorted(folder.rglob("*.csv"))
        }
        outputs[folder.name] = printed, tables, (folder / "t.pkl").read_bytes()
    assert outputs["file"][0] == outputs["server"][0]
    assert outputs["file"][1] == outputs["server"][1] and len(outputs["file"][1]) > 3
    assert outputs["file"][2] == outputs["server"][2]


def test_what_search_refuses(project):
    options = {"class_name": "Wren", "input_path": "Wren/w1.wav", "output_path": "out"}
    with pytest.raises(DatabaseError, match="no embeddings of class"):
        commands.search(**options)
    commands.embed()
    for changed, message in (
        ({"offset": "5.5"}, r"lasts 6 s, too short for a spectrogram at 5\.5 s"),
        ({"offset": "-1"}, "--offset -1"),
        ({"offset": "x"}, "--offset .*not a number"),
        ({"max_dist": 3}, "--dist is 3"),
        ({"num_to_plot": 0}, "--num is 0"),
        ({"exp": 0}, "--exp is 0"),
        ({"class_name2": "Robin"}, "--name2 .* of --exclude"),
        ({"class_name": "Wern"}, 'did you mean "Wren"'),
        ({"input_path": "gone.wav"}, "gone.wav"),
        ({"spec_group": "fine"}, 'group "fine" is not in'),
        ({"db_path": "gone.db"}, "gone.db does not exist"),
    ):
        with pytest.raises((InputError, DatabaseError), match=message):
            commands.search(**{**options, **changed})
    key, old = stored("SELECT ID, Embedding FROM SpecValue ORDER BY ID")[0]
    for value, message in (
        (b"no zlib", "damaged"), (zlib.compress(b"123"), "not a list of 32-bit floats"),
        (encode_embedding(np.array([np.nan] * 32)), "not finite"),
        (encode_embedding(np.ones(7)), "different models"),
    ):  # fmt: skip
        change("UPDATE SpecValue SET Embedding = ? WHERE ID = ?", (value, key))
        with pytest.raises(DatabaseError, match=message):
            commands.search(**options)
    change("UPDATE SpecValue SET Embedding = ?", (encode_embedding(np.ones(7)),))
    with pytest.raises(DatabaseError, match="have 7 numbers, those of the search model 32"):
        commands.search(**options)
    assert not Path("out").exists() and old


def test_search_model_that_is_missing(project):
    settings = yaml.safe_load(Path("params.yaml").read_text())
    for place, message in ((None, r"misc\.search_ckpt_path is not set"), ("gone", "gone, which does not exist")):
        settings["misc"]["search_ckpt_path"] = place
        Path("params.yaml").write_text(yaml.safe_dump(settings))
        with pytest.raises(ModelError, match=message):
            commands.embed()


def test_embedding_another_size_names_the_segment(project):
    change("UPDATE SpecValue SET Value = ? WHERE ID = 3", (zlib.compress(bytes(10)),))
    with pytest.raises(DatabaseError, match="spectrogram of segment 3 is not one of the 32 × 64.*holds 10 bytes"):
        commands.embed()
