import csv
import random
from collections import Counter

import pytest

from britekit.audio.decoding import read_audio
from britekit.collect.audioset_tables import ClassList, count_labels, find_segments
from britekit.commands import audioset
from britekit.errors import InputError

from .fake_sites import make_audio

CLASSES = """index,mid,display_name
0,/m/06mb1,"Rain"
1,/m/07r10fb,"Raindrop"
2,/m/0ngt1,"Thunder"
3,/m/0k4,"Odd, one"
4,/m/0k4j,"Car"
"""
SEGMENTS = """# Segments csv created Sun Mar  5 10:54:25 2017
# num_ytids=9, num_segs=9, num_unique_labels=5, num_positive_labels=14, /m/06mb1
# YTID, start_seconds, end_seconds, positive_labels
aaaaaaaaaa1, 30.000, 40.000, "/m/06mb1"
aaaaaaaaaa2, 0.000, 10.000, "/m/06mb1,/m/07r10fb"
aaaaaaaaaa3, 5.500, 15.500, "/m/06mb1,/m/0ngt1"
aaaaaaaaaa4, 1.000, 11.000, "/m/0k4j"
aaaaaaaaaa5, 1.000, 11.000, "/m/0k4j,/m/0k4"
-aaaaaaaa_6, 2.000, 12.000, "/m/07r10fb,/m/06mb1"
aaaaaaaaaa7, 3.000, 13.000, "/m/06mb1"
"""


@pytest.fixture
def tables(site):
    site.files["/tables/class_labels_indices.csv"] = (CLASSES.encode(), "text/csv")
    site.files["/tables/unbalanced_train_segments.csv"] = (SEGMENTS.encode(), "text/csv")
    return site


@pytest.fixture
def take(tables, settings, tmp_path):
    def run(**options):
        given = {"class_name": "Rain", "output_dir": str(tmp_path / "out"), "root_dir": str(tmp_path)}
        return audioset(**(given | {"cfg_path": settings} | options))

    return run


def add_videos(site, *identifiers, seconds=45.0):
    audio = make_audio(5, seconds, "MP3", 8000)
    for identifier in identifiers:
        site.files[f"/watch/{identifier}"] = (audio, "audio/mpeg")


def made(tmp_path):
    return sorted(path.name for path in (tmp_path / "out").glob("*.mp3"))


def test_the_report(take, tables, capsys, tmp_path):
    assert take(do_report=True, output_dir=None) == 2
    assert capsys.readouterr().out == "clips without another label = 2\nRaindrop = 2\nThunder = 1\n"
    assert take(class_name="car", do_report=True) == 1
    assert take(class_name="odd, one", do_report=True) == 0
    assert tables.count("/tables/unbalanced_train_segments.csv") == 1, "tables are kept"
    assert sorted(path.name for path in (tmp_path / "data/audioset").iterdir()) == [
        "class_list.csv", "unbalanced_train_segments.csv",
    ]  # fmt: skip


def test_the_report_agrees_with_counting_all(tmp_path):
    """Against a table read as a whole by the csv module."""
    draw = random.Random(3)
    mids = [f"/m/0{number}" for number in range(30)]
    lines = ["# comment"]
    for number in range(3000):
        labels = draw.sample(mids, draw.randint(1, 4))
        lines.append(f'{number:011d}, {number}.000, {number + 10}.000, "{",".join(labels)}"')
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "c.csv").write_text(
        "index,mid,display_name\n" + "".join(f"{n},{mid},Class {n}\n" for n, mid in enumerate(mids))
    )
    with open(tmp_path / "t.csv", newline="") as stream:
        rows = [row[3].split(",") for row in csv.reader(stream, skipinitialspace=True) if len(row) == 4]
    for number in (0, 1, 2, 11):
        mine = [set(row) for row in rows if mids[number] in row]
        others = Counter(mid for row in mine for mid in row if mid != mids[number])
        report = count_labels(tmp_path / "t.csv", mids[number], ClassList(tmp_path / "c.csv"))
        assert report.alone == sum(len(row) == 1 for row in mine)
        assert dict(report.others) == {f"Class {mids.index(mid)}": count for mid, count in others.items()}
        assert [count for _, count in report.others] == sorted(others.values(), reverse=True)
        allowed = set(mids[5:15])
        found = list(find_segments(tmp_path / "t.csv", mids[number], allowed))
        assert len(found) == sum(row <= allowed | {mids[number]} for row in mine)


def test_clips_whose_labels_are_all_allowed(take, tables, tmp_path, capsys):
    folder = tmp_path / "data/audioset"
    folder.mkdir(parents=True)
    (folder / "class_inclusion.csv").write_text("Name,Include1,Include2\nCar,Thunder,\nrain,Raindrop,\n")
    add_videos(tables, "aaaaaaaaaa1", "aaaaaaaaaa2", "-aaaaaaaa_6", "aaaaaaaaaa7")
    assert take(jobs=1) == 4
    assert made(tmp_path) == ["-aaaaaaaa_6-2.mp3", "aaaaaaaaaa1-30.mp3", "aaaaaaaaaa2-0.mp3", "aaaaaaaaaa7-3.mp3"]
    clip = read_audio(tmp_path / "out/aaaaaaaaaa1-30.mp3")
    assert clip.rate == 32000 and clip.seconds == pytest.approx(10.0, abs=0.05)
    with open(tmp_path / "out/recordings.csv", newline="") as stream:
        rows = {row["recording"]: row for row in csv.DictReader(stream)}
    row = rows["aaaaaaaaaa1-30"]
    assert (row["group"], row["source"], row["licence"]) == ("aaaaaaaaaa1", "Audioset", "")
    assert row["url"] == f"{tables.address}/watch?v=aaaaaaaaaa1&t=30"


def test_without_a_list_only_clips_of_the_class_alone(take, tables, tmp_path):
    add_videos(tables, "aaaaaaaaaa1", "aaaaaaaaaa2", "aaaaaaaaaa7")
    assert take() == 2
    assert made(tmp_path) == ["aaaaaaaaaa1-30.mp3", "aaaaaaaaaa7-3.mp3"]


def test_unavailable_videos_are_counted_and_passed_over(take, tables, tmp_path, capsys):
    add_videos(tables, "aaaaaaaaaa7")
    assert take(max_downloads=1) == 1
    assert capsys.readouterr().out == "fetched = 1\npresent = 0\nfailed = 0\nunavailable = 1\n"
    assert take(max_downloads=1) == 0, "what is there counts as done"
    assert take(num_to_skip=1) == 0
    tables.files.pop("/watch/aaaaaaaaaa7")
    with pytest.raises(InputError, match='none of the 2 clips of "Rain" could be had'):
        take(output_dir=str(tmp_path / "other"))


def test_a_list_of_clips(take, tables, tmp_path):
    add_videos(tables, "aaaaaaaaaa1", "bbbbbbbbbb1")
    (tmp_path / "rain.csv").write_text("YTID,start_seconds\naaaaaaaaaa1,12.5\nbbbbbbbbbb1,0\n")
    assert take(class_name=None, curated_csv_path=str(tmp_path / "rain.csv")) == 2
    assert made(tmp_path) == ["aaaaaaaaaa1-12.mp3", "bbbbbbbbbb1-0.mp3"]
    assert not (tmp_path / "data").exists(), "no table is needed"


@pytest.mark.parametrize(
    "text, said",
    [
        ("YTID,start_seconds\n../../../ab,1\n", "row 2: .* not the identifier"),
        ("YTID,start_seconds\naaaaaaaaaa1,-1\n", 'row 2: start_seconds "-1" is not 0 or more'),
        ("YTID,start_seconds\naaaaaaaaaa1,nan\n", 'start_seconds "nan"'),
        ("YTID\naaaaaaaaaa1\n", 'no column "start_seconds"'),
        ("YTID,start_seconds\n", "lists no clip"),
    ],
)
def test_lists_that_are_wrong(take, tmp_path, text, said):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        take(class_name=None, curated_csv_path=str(tmp_path / "list.csv"))


@pytest.mark.parametrize(
    "options, said",
    [
        ({"class_name": None}, "either --name or --curated"),
        ({"curated_csv_path": "x.csv"}, "either --name or --curated"),
        ({"class_name": None, "curated_csv_path": "x.csv", "do_report": True}, "--rpt needs --name"),
        ({"output_dir": None}, "give -o"),
        ({"num_to_skip": -1}, "--skip is -1"),
        ({"class_name": "Rian"}, 'no class "Rian"; did you mean "Rain"'),
        ({"sampling_rate": 5}, "--sr is 5"),
    ],
)
def test_bad_options(take, options, said):
    with pytest.raises(InputError, match=said):
        take(**options)


@pytest.mark.parametrize("body, kind", [(b"<html>no</html>", "text/html"), (b"", "text/csv"), (b"a,b\n", "text/csv")])
def test_tables_that_are_none_are_not_kept(take, tables, tmp_path, body, kind):
    good = tables.files["/tables/class_labels_indices.csv"]
    tables.files["/tables/class_labels_indices.csv"] = (body, kind)
    with pytest.raises(InputError, match="class list|empty file"):
        take(do_report=True)
    tables.files["/tables/class_labels_indices.csv"] = good
    segments = tables.files["/tables/unbalanced_train_segments.csv"]
    tables.files["/tables/unbalanced_train_segments.csv"] = (body, kind)
    with pytest.raises(InputError, match="not AudioSet.s table of segments|empty file"):
        take(do_report=True)
    tables.files["/tables/unbalanced_train_segments.csv"] = segments
    assert take(do_report=True) == 2


def test_a_cut_table_is_continued(take, tables, tmp_path):
    tables.faults["/tables/unbalanced_train_segments.csv"] = ["cut"]
    assert take(do_report=True) == 2
    assert (tmp_path / "data/audioset/unbalanced_train_segments.csv").read_text() == SEGMENTS


def test_dry_run_asks_about_each_clip(take, tables, tmp_path, capsys):
    add_videos(tables, "aaaaaaaaaa7")
    assert take(dry_run=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[:3] for line in lines[1:]] == [["aaaaaaaaaa7-3.mp3", "10.0", "unknown"]]
    assert not (tmp_path / "out").exists()


def test_a_bad_line_is_named(take, tables, tmp_path):
    bad = SEGMENTS.replace("30.000, 40.000", "x, 40.000")
    tables.files["/tables/unbalanced_train_segments.csv"] = (bad.encode(), "text/csv")
    with pytest.raises(InputError, match="line 4: start and end are not numbers"):
        take()
