import csv
import os

import pytest

from britekit.collect import planning
from britekit.collect.sources import available_sources
from britekit.commands.collect import collect
from britekit.errors import InputError

from .conftest import HEADER, make_recording


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def tree(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_folders_become_a_tree_with_annotations_over_the_whole_length(project, sources, capsys):
    make_recording(project / "field" / "0123.wav", 2.5, seed=5)
    sources("A,folder,field,,test")
    assert collect() == 5
    data = project / "data"
    assert sorted(tree(data / "recordings")) == [
        "Ant/Ant1.wav",
        "Ant/Ant2.wav",
        "Bee/Bee1.wav",
        "Bee/Bee2.wav",
        "recordings.csv",
    ]
    assert rows_of(data / "test" / "annotations.csv") == [
        {"recording": "0123", "class": "A", "start_time": "0.000", "end_time": "2.500"}
    ]
    table = rows_of(data / "recordings" / "recordings.csv")
    assert [(row["recording"], row["class"], row["licence"]) for row in table][:2] == [
        ("Ant1", "Ant", ""),
        ("Ant2", "Ant", ""),
    ]
    assert "training recordings = 4" in capsys.readouterr().out


def test_a_test_recording_of_two_rows_is_annotated_with_both_classes(project, sources):
    sources("A,folder,archive/Bee,1,test", "B,folder,archive/Bee,1,test", "A,folder,archive/Bee,1,test")
    assert collect() == 5
    assert [row["class"] for row in rows_of(project / "data/test/annotations.csv")] == ["A", "B"]


def test_a_copy_is_a_file_of_its_own(project, sources):
    sources()
    collect()
    copy, original = project / "data/recordings/Bee/Bee1.wav", project / "archive/Bee/Bee1.wav"
    assert copy.read_bytes() == original.read_bytes()
    assert not copy.is_symlink() and os.stat(copy).st_nlink == 1 and not os.path.samefile(copy, original)


@pytest.mark.parametrize("query", ["linked", "linked/*"])
def test_links_to_files_of_other_names(project, sources, query):
    """As DVC makes them where its cache is linked."""
    (project / "linked").mkdir()
    original = make_recording(project / "store" / "0a1b.wav", 2.0, seed=7)
    (project / "linked" / "Ant9.wav").symlink_to(original)
    sources(f"A,folder,{query},,train")
    collect()
    assert (project / "data/recordings/Ant/Ant9.wav").read_bytes() == original.read_bytes()


ANNOTATED = [
    {"recording": "x", "class": "A", "start_time": "0.500", "end_time": "3.000"},
    {"recording": "x", "class": "B", "start_time": "1.000", "end_time": "2.000"},
    {"recording": "y", "class": "", "start_time": "", "end_time": ""},
]


def test_a_folders_annotations_come_along_by_code(project, sources, caplog):
    for name in ("x", "y", "z"):
        make_recording(project / "field" / f"{name}.wav", 3.0, seed=ord(name))
    (project / "field" / "annotations.csv").write_text(
        "recording,class,start_time,end_time\ny,,,\nx,Bee,1,2\nx,A,0.5,3\ngone,A,0,1\n"
    )
    sources("*,folder,field,,test")
    collect()
    assert rows_of(project / "data/test/annotations.csv") == ANNOTATED
    assert "z.wav" not in tree(project / "data/test")
    assert "left out (z.wav)" in caplog.text and '"gone" is not in the folder' in caplog.text


AUDACITY = "1.0\t2.0\tBee\n0.5\t3.0\tA\n"
RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\n"
    "1\tSpectrogram 1\t1\t1.0\t2.0\t100\t4000\tBee\n2\tSpectrogram 1\t1\t0.5\t3.0\t100\t4000\tA\n"
)


@pytest.mark.parametrize(
    ("name", "text"), [("x.txt", AUDACITY), ("x.Table.1.selections.txt", RAVEN)], ids=["Audacity", "Raven"]
)
def test_label_files_of_a_test_folder_come_along(project, sources, caplog, name, text):
    for stem in ("x", "y", "z"):
        make_recording(project / "field" / f"{stem}.wav", 3.0, seed=ord(stem))
    (project / "field" / name).write_text(text)
    (project / "field" / "y.txt").write_text("")  # listened to, nothing heard
    (project / "field" / "notes.txt").write_text("Wind from the west.\n")
    sources("*,folder,field,,test")
    collect()
    assert rows_of(project / "data/test/annotations.csv") == ANNOTATED
    assert "z.wav" not in tree(project / "data/test")
    assert "left out (z.wav)" in caplog.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Bee1.txt", AUDACITY),
        ("Bee1.Table.1.selections.txt", RAVEN),
        ("annotations.csv", "recording,class,start_time,end_time\nBee1,Bee,1,2\nBee1,A,0.5,3\n"),
    ],
    ids=["Audacity", "Raven", "table"],
)
def test_annotations_of_training_recordings_lie_beside_them(project, sources, name, text):
    """DVC builds data/recordings anew, so what a person wrote has to come from the source."""
    (project / "archive/Bee" / name).write_text(text)
    sources()
    collect()
    labels = (project / "data/recordings/Bee/Bee1.txt").read_text().splitlines()
    assert sorted(line.split("\t") for line in labels) == [
        ["0.500000", "3.000000", "A"],
        ["1.000000", "2.000000", "Bee"],
    ]
    beside = set(tree(project / "data/recordings"))
    assert not {"Bee/Bee2.txt", "Bee/annotations.csv"} & beside
    assert ("Bee/Bee2.wav" in beside) == (name != "annotations.csv"), "a table says what belongs to the set"


def test_a_text_about_something_else_is_no_annotation(project, sources):
    (project / "archive/Bee/todo.txt").write_text("")
    sources("*,folder,archive/*/*1.wav,,train", "*,folder,archive/*/*2.*,,test", train=False)
    collect()
    assert "Bee2.wav" in tree(project / "data/test")


def test_patterns_split_a_tree_of_classes(project, sources):
    sources("*,folder,archive/*/*1.wav,,train", "*,folder,archive/*/*2.*,,test", train=False)
    collect()
    assert sorted(tree(project / "data/recordings")) == ["Ant/Ant1.wav", "Bee/Bee1.wav", "recordings.csv"]
    found = [(row["recording"], row["class"]) for row in rows_of(project / "data/test/annotations.csv")]
    assert found == [("Ant2", "A"), ("Bee2", "B")]


def test_limit_counts_per_class(project, sources):
    sources("*,folder,archive/*/*,1,train", train=False)
    collect()
    assert sorted(tree(project / "data/recordings")) == ["Ant/Ant1.wav", "Bee/Bee1.wav", "recordings.csv"]


def test_repeating_changes_nothing_and_foreign_files_stay(project, sources):
    make_recording(project / "field" / "x.wav", seed=5)
    sources("Ant,folder,field,,test")
    collect()
    mine = make_recording(project / "data/recordings/Bee/mine.wav", seed=99)
    with open(project / "data/recordings/recordings.csv", "a") as stream:
        stream.write("mine,Bee,,me,CC0,,,,,\n")
    with open(project / "data/test/annotations.csv", "a") as stream:
        stream.write("other,A,0.000,1.000\n")
    before = tree(project / "data")
    result = collect()
    after = tree(project / "data")
    assert result == 5 and mine.exists() and set(after) == set(before)
    table = rows_of(project / "data/recordings/recordings.csv")
    assert [row["recording"] for row in table] == ["Ant1", "Ant2", "Bee1", "Bee2", "mine"]
    assert [row["recording"] for row in rows_of(project / "data/test/annotations.csv")] == ["x", "other"]
    collect()
    assert tree(project / "data") == after


def test_a_file_of_other_content_stops_everything(project, sources):
    sources()
    other = make_recording(project / "data/recordings/Bee/Bee1.wav", seed=77)
    before = tree(project / "data")
    with pytest.raises(InputError, match=r"Bee1.wav exists with different content"):
        collect()
    assert tree(project / "data") == before and other.exists()
    assert not list((project / "data").glob(".*"))


def test_dry_run_writes_nothing(project, sources, capsys):
    sources("*,sample,Silver Triller,2,test")
    (project / "data/classes.csv").write_text("Name,Code\nBee,B\nAnt,A\nSilver Triller,SITR\n")
    with pytest.raises(InputError, match='class "Silver Triller" of .* has no training recording'):
        collect(dry_run=True)
    sources("*,sample,Silver Triller,2,test", "Silver Triller,sample,,3,train")
    assert collect(dry_run=True) == 9
    out = capsys.readouterr().out
    assert "train\tBee/Bee1.wav\t\tunknown\t" in out and "test\tsoundscape-0001.flac\t" in out and "\tCC0\t" in out
    assert sorted(path.name for path in (project / "data").iterdir()) == ["classes.csv", "sources.csv"]


def test_licences_are_filtered_and_unknown_ones_are_not_free(project, sources):
    sources()
    with pytest.raises(InputError, match='class "Bee" .* has no training recording with an accepted licence'):
        collect(licences="CC0")
    for name in ("Bee", "Ant"):
        (project / "archive" / name / "recordings.csv").write_text(
            f"recording,licence,author,group\n{name}1,https://creativecommons.org/licenses/by/4.0/,Ann,g\n"
            f"{name}2,CC BY-NC 4.0,Bob,g\n"
        )
    collect(licences="CC0, cc-by")
    table = rows_of(project / "data/recordings/recordings.csv")
    assert [(row["recording"], row["author"], row["group"]) for row in table] == [
        ("Ant1", "Ann", "g"),
        ("Bee1", "Ann", "g"),
    ]


@pytest.mark.parametrize(
    "rows, message",
    [
        (["Ant,folder,nowhere,,test"], r"row 4: folder .*nowhere does not exist"),
        (["Ant,folder,archive/*.mp3,,test"], "row 4: no recording matches"),
        (["Ant,folder,,,test"], "row 4: the query is empty"),
        (["*,folder,data,,train"], "row 4: .*data contains no recordings"),
        (["*,sample,Bee,3,test"], 'row 4: there is no imaginary species "Bee"'),
        (["*,sample,*,3,test"], "row 4: no imaginary species of the class list"),
    ],
)  # fmt: skip
def test_what_a_source_cannot_give(project, sources, rows, message):
    sources(*rows)
    with pytest.raises(InputError, match=message):
        collect()
    assert not (project / "data/recordings").exists()


def test_a_class_without_recordings_is_named(project, sources):
    sources("Bee,folder,archive/Bee,,train", train=False)
    with pytest.raises(InputError, match='class "Ant" of .*classes.csv has no training recording'):
        collect()


OTHER = "recording,class,start_time,end_time\nx,Bea,0,1\nx,Wren,0,1\nx,Bee,0.2,0.9\nz,Wren,0,1\n"


def others(project, sources, misc="{}"):
    """Two test recordings, and a third in another folder, whose annotations name two species beside Bee."""
    for name in ("x", "z"):
        make_recording(project / "field" / f"{name}.wav")
    make_recording(project / "more" / "w.wav")
    (project / "field" / "annotations.csv").write_text(OTHER)
    (project / "more" / "w.txt").write_text("0.1\t0.5\tWren\n")
    (project / "c.yaml").write_text(f"misc: {misc}\n")
    sources("*,folder,field,,test", "*,folder,more,,test")


def annotated(project):
    return [(row["recording"], row["class"]) for row in rows_of(project / "data/test/annotations.csv")]


def test_all_unknown_species_of_all_files_come_in_one_message(project, sources):
    others(project, sources)
    with pytest.raises(InputError) as caught:
        collect(cfg_path="c.yaml")
    said = str(caught.value)
    assert 'name 2 species that are not in the class list: "Wren" (3 in ' in said
    assert "annotations.csv and 1 more)" in said
    assert '"Bea" (1 in ' in said and 'did you mean "Bee"' in said
    assert "misc.map_names" in said and "misc.other_species" in said
    assert not (project / "data/recordings").exists()


def test_other_species_are_mapped_to_one_class(project, sources):
    others(project, sources, "{map_names: {Bea: Bee, '*': Ant}}")
    collect(cfg_path="c.yaml")
    assert annotated(project) == [("w", "A"), ("x", "A"), ("x", "B"), ("x", "B"), ("z", "A")]


@pytest.mark.parametrize("names", ["['*']", "[Bea, Wren]"])
def test_other_species_are_left_out_counted_and_their_recordings_stay(project, sources, caplog, names):
    others(project, sources, f"{{other_species: {names}}}")
    collect(cfg_path="c.yaml")
    assert annotated(project) == [("w", ""), ("x", "B"), ("z", "")]
    assert "4 annotations of 2 other species are left out (misc.other_species): Wren 3, Bea 1" in caplog.text


def test_stretches_of_other_species_stay_unnamed_in_training_recordings(project, sources):
    (project / "archive/Bee/Bee1.txt").write_text("0.1\t0.5\tWren\n0.2\t0.4\tBee\n")
    (project / "archive/Bee/Bee2.txt").write_text("0.1\t0.5\tWren\n")
    (project / "c.yaml").write_text("misc: {other_species: ['*']}\n")
    sources()
    collect(cfg_path="c.yaml")
    assert (project / "data/recordings/Bee/Bee1.txt").read_text() == (
        "0.100000\t0.500000\t?\n0.200000\t0.400000\tBee\n"
    )
    assert (project / "data/recordings/Bee/Bee2.txt").read_text() == "0.100000\t0.500000\t?\n"


def test_a_test_folder_without_annotations_is_collected_and_said_so(project, sources, caplog, capsys):
    make_recording(project / "t2" / "x.wav")
    sources("*,folder,t2,,test")
    collect()
    assert "t2 has no annotations.csv, Audacity labels or Raven tables: its 1 recordings" in caplog.text
    assert (project / "data/test/x.wav").is_file() and annotated(project) == []
    out = capsys.readouterr().out
    assert "annotated test recordings = 0: the pipeline trains, and packages without" in out
    assert "britekit collect --refresh" in out


def test_a_training_folder_named_as_no_class_is_refused(project, sources):
    make_recording(project / "field" / "x.wav")
    sources("*,folder,field,,train")
    with pytest.raises(InputError, match='folder .*field: class "field" is not known; add it to the class list'):
        collect()


def test_an_unreadable_recording_spares_the_others(project, sources):
    (project / "archive/Bee/bad.wav").write_bytes(b"RIFF nothing")
    sources()
    with pytest.raises(InputError, match=r"1 of 5 recordings could not be collected: .*bad.wav") as caught:
        collect()
    assert ".partial" not in str(caught.value), "a path that is gone"
    assert "Bee/bad.wav" not in tree(project / "data/recordings")
    assert [row["recording"] for row in rows_of(project / "data/recordings/recordings.csv")][-1] == "Bee2"


def test_a_failure_leaves_no_staging(project, sources, monkeypatch):
    sources()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("britekit.collect.sources.folder.shutil.copyfileobj", fail)
    with pytest.raises(InputError, match="data/.* could not be written: no space left"):
        collect()
    assert sorted(path.name for path in (project / "data").iterdir()) == ["classes.csv", "sources.csv"]


def test_test_and_training_recordings_stay_apart(project, sources):
    sources()
    (project / "c.yaml").write_text("pipeline:\n  test_annotations: data/recordings/test/a.csv\n")
    with pytest.raises(InputError, match="pipeline.test_annotations"):
        collect(cfg_path="c.yaml")


def test_one_bad_name_fails_alone(project, sources, caplog):
    """A line break, and two names of which no table can tell the one from the other."""
    for name in ("line\nbreak.wav", "twin.wav", "twin .wav"):
        make_recording(project / "archive/Bee" / name, seed=8)
    sources()
    with pytest.raises(InputError) as failed:
        collect()
    assert "3 of 7 recordings could not be collected" in str(failed.value)
    assert "'line\\nbreak.wav' cannot be the name" in str(failed.value)
    assert str(failed.value).count("twin.wav beside it has the same name") == 1
    assert sorted(path.name for path in (project / "data/recordings/Bee").iterdir()) == ["Bee1.wav", "Bee2.wav"]


def test_two_rows_that_offer_one_name_fail_alone(project, sources):
    make_recording(project / "archive/Bee/other.wav").rename(project / "archive/Bee/Ant1.mp3")
    sources("Ant,folder,archive/Ant/Ant1.wav,,test", "Bee,folder,archive/Bee/Ant1.mp3,,test")
    message = r"2 of 7 recordings .*Ant1.wav: .*Ant1.mp3 \(row 5\) has the same name without extension"
    with pytest.raises(InputError, match=message):
        collect()
    names = sorted(path.name for path in (project / "data/recordings/Bee").iterdir())
    assert names == ["Ant1.mp3", "Bee1.wav", "Bee2.wav"]


def test_class_names_that_cannot_be_folders(project, sources):
    (project / "data/classes.csv").write_text("Name,Code\nBee,B\nAnt,A\n../Wasp,W\n")
    sources("../Wasp,folder,archive/Bee,,train")
    with pytest.raises(InputError, match='"../Wasp" is not a valid name of a folder'):
        collect()


def test_all_problems_of_the_list_at_once(project):
    (project / "data/sources.csv").write_text(
        "class,source,query,limit,split,remark\n"
        "Bee,foldr,archive,,train,\n"
        "Bea,xeno,Apis,0,training,\n"
        "Ant,folder,archive,5,train,\n"
    )
    with pytest.raises(InputError) as caught:
        collect()
    text = str(caught.value)
    for part in (
        'unknown column "remark"',
        f'row 2: source "foldr" is unknown; available are {", ".join(available_sources())}; did you mean "folder"',
        'row 3: class "Bea" is not known; did you mean "Bee"',
        'row 3: split "training"',
        'row 3: limit "0"',
    ):
        assert part in text


def test_bad_options(project, sources):
    sources()
    with pytest.raises(InputError, match="--jobs is 0"):
        collect(jobs=0)
    with pytest.raises(InputError, match="nowhere.csv does not exist"):
        collect(sources_path="nowhere.csv")
    (project / "data/sources.csv").write_text(HEADER)
    with pytest.raises(InputError, match="lists no source"):
        collect()


def test_number_of_jobs_does_not_change_the_result(project, sources):
    make_recording(project / "field" / "x.wav", seed=5)
    sources("Ant,folder,field,,test")
    collect(jobs=1)
    first = tree(project / "data")
    for name in ("recordings", "test"):
        (project / "data" / name).rename(project / f"old-{name}")
    collect(jobs=4)
    assert tree(project / "data") == first


def test_plans_say_where_things_go(project, sources):
    sources("Ant,folder,archive/Bee/Bee1.wav,,test")
    planned, classes = planning.plan_collection(project / "data/sources.csv", project / "data/classes.csv")
    assert [str(item.place) for item in planned if item.is_test] == ["Bee1.wav"]
    assert [info.name for info in classes] == ["Bee", "Ant"]
