"""Segments brought back by hand into the pipeline's database are in the rebuilt one too."""

import os
import shutil
from pathlib import Path

import pytest

from britekit import commands
from britekit.errors import DatabaseError, InputError
from tests.database.contents import contents
from tests.datasets.conftest import LOCK, PARAMS, write_recording

DB = Path("data/training.db")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for number, name in enumerate(["Wren/w0", "Wren/w1", "Owl/o0"]):
        write_recording(Path(f"data/recordings/{name}.wav"), 5.2, seed=number)
    Path("data/classes.csv").write_text("Name,Code\nWren,WREN\nOwl,OWL\n")
    Path("params.yaml").write_text(PARAMS)
    # w0 has lost three of its segments by hand, w1 all of them.
    Path("data/curation.csv").write_text(
        "recording,offset,class,decision,new_class\nw0,1,Wren,drop,\nw0,2,Wren,drop,\nw0,3,Wren,drop,\nw1,,Wren,drop,\n"
    )
    commands.extract()
    Path("dvc.lock").write_text(LOCK.replace("    outs:", "    - path: data/recordings\n    outs:"))
    Path("images").mkdir()
    return tmp_path


def bring(*names, **options):
    for name in names:
        Path("images", name).touch()
    return commands.extract_by_image(
        **{"class_name": "Wren", "rec_dir": "data/recordings/Wren", "spec_dir": "images", **options}
    )


def assert_rebuild_is_equal():
    edited = contents(DB)
    DB.unlink()
    commands.extract()
    assert contents(DB) == edited


def test_what_comes_back_outlives_a_rebuild(project, caplog):
    assert bring("w0-2.00.jpeg", "w0-0.00.jpeg", "w0-1.30.jpeg", "w1-4.02.jpeg") == 2
    assert "no segment of a rebuild begins at 1.3 s" in caplog.text
    rows = Path("data/curation.csv").read_text().splitlines()[5:]
    assert [row.split(",")[:4] for row in rows] == [
        ["w0.wav", "0", "Wren", "keep"], ["w0.wav", "2", "Wren", "keep"], ["w0.wav", "4", "Wren", "keep"],
        ["w1.wav", "4", "Wren", "keep"],
    ]  # fmt: skip
    assert_rebuild_is_equal()


def test_a_table_does_the_same(project):
    Path("chosen.csv").write_text("recording,offset\nw1,0\nw1.wav,3\n")
    options = {"class_name": "Wren", "rec_dir": "data/recordings/Wren", "csv_path": "chosen.csv"}
    assert commands.extract_by_csv(**options) == 2
    assert commands.extract_by_csv(**options) == 0
    assert_rebuild_is_equal()


def test_what_a_rebuild_would_lose_is_refused(project):
    before, table = DB.read_bytes(), Path("data/curation.csv").read_bytes()
    write_recording(Path("elsewhere/w0.wav"), 5.2)
    with pytest.raises(InputError, match=r"elsewhere/w0\.wav is not in the folder .*data/sources\.csv"):
        bring("w0-2.00.jpeg", rec_dir="elsewhere")
    with pytest.raises(InputError, match="--cat cannot be kept"):
        bring(cat_name="birds")
    with pytest.raises(InputError, match="--dest-dir cannot be kept"):
        bring(dest_dir="copies")
    with pytest.raises(DatabaseError, match='class "Robin" is not in'):
        bring(class_name="Robin")
    shutil.rmtree("images")
    os.mkdir("images")
    with pytest.raises(InputError, match="no segment named is one that a rebuild makes"):
        bring("w0-1.50.jpeg")
    assert DB.read_bytes()[100:] == before[100:]
    assert Path("data/curation.csv").read_bytes() == table
    assert bring("w0-1.50.jpeg", rec_dir="data/recordings/Wren", force=True) == 1


def test_annotations_count_as_in_a_rebuild(project, caplog):
    Path("data/recordings/Wren/w1.txt").write_text("0.1\t1.8\tWREN\n")
    commands.extract(db_path="data/training.db")
    assert bring("w1-1.00.jpeg", "w1-3.00.jpeg") == 1
    assert 'its annotations have no "Wren" at 3 s' in caplog.text
    assert_rebuild_is_equal()


def annotate_only(name):
    Path("data/recordings/Wren/annotations.csv").write_text(f"recording,class,start_time,end_time\n{name},WREN,0,5\n")
    Path("data/curation.csv").unlink()
    commands.extract(db_path="data/training.db")


def test_a_recording_that_annotations_do_not_list_is_left_out(project, caplog):
    annotate_only("w0")
    caplog.clear()
    assert bring("w0-1.00.jpeg", "w1-3.00.jpeg") == 0
    assert "data/recordings/Wren/w1.wav: its folder's annotations do not list it" in caplog.text
    assert_rebuild_is_equal()


def test_annotations_of_recordings_not_named_are_not_taken_for_lost(project, caplog):
    annotate_only("w0\nw1,WREN,0,5\nw0")
    caplog.clear()
    bring("w1-3.00.jpeg")
    assert "is not in the folder" not in caplog.text


@pytest.mark.parametrize(("seconds", "overlap", "name"), [(4.2, 0, "w0-3.00"), (2.8, 1.5, "w0-1.50")])
def test_what_a_rebuild_would_not_cut_at_the_end_is_left_out(project, caplog, seconds, overlap, name):
    longer = PARAMS.replace("spec_duration: 1.0", "spec_duration: 3.0")
    Path("params.yaml").write_text(f"{longer}pipeline:\n  extract_overlap: {overlap}\n")
    write_recording(Path("data/recordings/Wren/w0.wav"), seconds)
    Path("data/curation.csv").unlink()
    commands.extract(db_path="data/training.db")
    assert bring(f"{name}.jpeg", "w0-0.00.jpeg") == 0
    assert f"no segment of a rebuild begins at {float(name[3:]):g} s" in caplog.text
    assert_rebuild_is_equal()


def test_what_comes_back_from_a_removed_source_outlives_a_rebuild(project):
    commands.del_src(name="default", db_path="data/training.db")
    assert bring("w1-3.00.jpeg") == 1
    assert_rebuild_is_equal()


@pytest.mark.parametrize(("removed", "group"), [(None, "defualt"), ("default", "default")])
def test_a_group_that_a_rebuild_does_not_make_is_refused(project, removed, group):
    if removed:
        commands.del_sgroup(name=removed, db_path="data/training.db")
    table = Path("data/curation.csv").read_bytes()
    with pytest.raises(DatabaseError, match=f'spectrogram group "{group}" is not in'):
        bring("w1-3.00.jpeg", spec_group=group)
    assert Path("data/curation.csv").read_bytes() == table
