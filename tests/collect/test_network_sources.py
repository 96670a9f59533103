"""`collect` with sources on the network, which are a server on this machine."""

import csv

import pytest

from britekit.audio.decoding import read_audio
from britekit.commands.collect import collect
from britekit.datasets.recordings_csv import RecordingTable
from britekit.errors import InputError

from .fake_sites import KEY, make_audio


@pytest.fixture
def gather(project, sources, site, settings, monkeypatch):
    """Write a list of sources and collect it; the folders of the project give classes their recordings."""
    monkeypatch.setenv("XCKEY", KEY)

    def run(*rows, **options):
        sources(*rows)
        return collect(cfg_path=settings, **options)

    return run


def listed(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_all_four(gather, site, project):
    for number in (1, 2, 3):
        site.add_recording(number, q="ABC"[number - 1])
    site.taxa = [{"id": 7, "name": "Anaxyrus americanus", "preferred_common_name": "American Toad"}]
    site.add_observation(4)
    site.files["/watch/abcdefghijk"] = (make_audio(5, 3.0), "audio/mpeg")
    site.files["/watch/bbbbbbbbbbb"] = (make_audio(6, 15.0), "audio/mpeg")
    (project / "clips.csv").write_text("YTID,start_seconds\nccccccccccc,0\nbbbbbbbbbbb,2\n")
    count = gather(
        "Bee,xeno,Barred Owl,2,train", "Bee,inat,American Toad,,train", "Ant,youtube,abcdefghijk,,train",
        "Ant,audioset,clips.csv,1,train", "Ant,xeno,sci:Strix varia,1,test",
    )  # fmt: skip
    assert count == 10
    data = project / "data"
    assert listed(data / "recordings") == [
        "Ant/Ant1.wav", "Ant/Ant2.wav", "Ant/abcdefghijk.mp3", "Ant/bbbbbbbbbbb-2.mp3", "Bee/Bee1.wav",
        "Bee/Bee2.wav", "Bee/N40.mp3", "Bee/XC1.mp3", "Bee/XC2.mp3", "recordings.csv",
    ]  # fmt: skip
    assert listed(data / "test") == ["XC1.mp3", "annotations.csv", "recordings.csv"]
    (label,) = rows_of(data / "test/annotations.csv")
    assert label["class"] == "A" and float(label["end_time"]) == pytest.approx(1.0, abs=0.1)
    assert read_audio(data / "recordings/Ant/bbbbbbbbbbb-2.mp3").seconds == pytest.approx(10, abs=0.1)
    # what `extract` reads
    table = RecordingTable(data / "recordings/recordings.csv")
    owl, toad = table.find("Bee", "XC1.mp3"), table.find("Bee", "N40.mp3")
    assert (owl.source, owl.facts.author, owl.facts.latitude) == ("Xeno-Canto", "Ann Author", 45.5)
    assert (toad.source, toad.facts.licence) == ("iNaturalist", "CC-BY-NC")
    assert table.find("Ant", "bbbbbbbbbbb-2.mp3").facts.group_name == "bbbbbbbbbbb"


def test_nothing_is_fetched_twice(gather, site, project):
    import shutil

    for number in (1, 2):
        site.add_recording(number)
    gather("Bee,xeno,Barred Owl,,train")
    first = rows_of(project / "data/recordings/recordings.csv")
    gather("Bee,xeno,Barred Owl,,train")
    # as DVC does before a stage
    shutil.rmtree(project / "data/recordings")
    gather("Bee,xeno,Barred Owl,,train")
    assert rows_of(project / "data/recordings/recordings.csv") == first
    shutil.rmtree(project / "_local")
    gather("Bee,xeno,Barred Owl,,train")
    assert rows_of(project / "data/recordings/recordings.csv") == first
    assert [site.count(f"/audio/{number}/download") for number in (1, 2)] == [1, 1]


def test_a_failure_keeps_what_came(gather, site, project):
    import shutil

    for number in (1, 2, 3):
        site.add_recording(number)
    site.faults["/audio/2/download"] = ["html"]
    with pytest.raises(InputError, match="1 of 7 recordings could not be collected: .*text/html"):
        gather("Bee,xeno,Barred Owl,,train")
    assert "Bee/XC1.mp3" in listed(project / "data/recordings")
    shutil.rmtree(project / "data/recordings")
    assert gather("Bee,xeno,Barred Owl,,train") == 7
    assert [site.count(f"/audio/{number}/download") for number in (1, 2, 3)] == [1, 2, 1]


def test_what_a_site_has_no_more_is_left_out(gather, site, project, capsys, caplog):
    for number in (1, 2):
        site.add_recording(number)
    del site.files["/audio/1/download"]
    gather("Bee,xeno,Barred Owl,,train", "Ant,youtube,abcdefghijk,,train")
    assert "unavailable = 1" in capsys.readouterr().out
    assert "XC1.mp3 is left out" in caplog.text and "abcdefghijk is left out" in caplog.text
    assert "Bee/XC1.mp3" not in listed(project / "data/recordings")


def test_licences_count_before_the_limit(gather, site, project, sources):
    for number, licence in enumerate(["by-nc-sa", "by", "by", "by"], start=1):
        site.add_recording(number, lic=f"//creativecommons.org/licenses/{licence}/4.0/")
    sources()
    for name in ("Bee", "Ant"):
        (project / "archive" / name / "recordings.csv").write_text(f"recording,licence\n{name}1,CC0\n")
    gather("Bee,xeno,Barred Owl,2,train", licences="CC-BY,CC0")
    assert listed(project / "data/recordings/Bee") == ["Bee1.wav", "XC2.mp3", "XC3.mp3"]


def test_dry_run(gather, site, project, capsys):
    site.add_recording(1, length="0:42")
    assert gather("Bee,xeno,Barred Owl,,train", dry_run=True) == 5
    assert "train\tBee/XC1.mp3\t42.0\thttps://creativecommons.org/licenses/by-nc-sa/4.0/\t" in capsys.readouterr().out
    assert not (project / "_local").exists() and not (project / "data/recordings").exists()


@pytest.mark.parametrize(
    "row, said",
    [
        ("*,xeno,Barred Owl,,train", 'source "xeno" needs a class'),
        ("Bee,inat,,,train", "the query is empty; expected the name of a taxon"),
        ("Bee,youtube,../../x,,train", "not the identifier of a video"),
        ("Bee,xeno,Nothing,,train", "no recording of the English name"),
        ("Bee,audioset,no.csv,,train", "no.csv does not exist"),
    ],
)
def test_rows_that_are_wrong(gather, site, row, said):
    with pytest.raises(InputError, match=f"row 4: .*{said}"):
        gather(row)


def test_a_missing_key_is_told_before_anything_is_asked(gather, site, monkeypatch):
    monkeypatch.delenv("XCKEY")
    with pytest.raises(InputError, match="set the environment variable XCKEY"):
        gather("Bee,xeno,Barred Owl,,train")
    assert not site.asked
