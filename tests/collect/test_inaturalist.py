import csv

import pytest

from britekit.collect.inaturalist import find_sounds
from britekit.commands import inat
from britekit.errors import InputError

TOAD = {
    "id": 7, "name": "Anaxyrus americanus", "preferred_common_name": "American Toad",
    "observations_count": 900,
}  # fmt: skip


@pytest.fixture
def toads(site):
    site.taxa = [TOAD, {"id": 8, "name": "Bufo", "preferred_common_name": "American Toads and Allies"}]
    return site


@pytest.fixture
def take(site, settings, tmp_path):
    def run(out="out", **options):
        return inat(**({"name": "American Toad", "output_dir": str(tmp_path / out), "cfg_path": settings} | options))

    return run


def names(web, site, name="American Toad", **options):
    return [one.file_name for one in find_sounds(web, f"{site.address}/inat", name, **options)]


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("name", ["American Toad", "american  TOAD", "Anaxyrus americanus"])
def test_names_match_exactly(web, toads, name):
    toads.add_observation(1)
    assert names(web, toads, name) == ["N10.mp3"]
    assert toads.asked[-2][1]["taxon_id"] == "7"


def test_partial_names_are_no_names(web, toads):
    with pytest.raises(InputError, match='no taxon by exactly the name "American Toa"; did you mean "American Toad"'):
        names(web, toads, "American Toa")
    with pytest.raises(InputError, match="not the name of a taxon"):
        names(web, toads, " ")


def test_of_two_taxa_of_a_name_the_one_seen_more_is_meant(web, toads):
    toads.taxa.insert(0, TOAD | {"id": 99, "name": "Other", "observations_count": 3})
    toads.add_observation(1)
    assert names(web, toads) == ["N10.mp3"]


def test_pages_are_read_to_the_end_once(web, toads):
    toads.per_page = 3
    for number in range(1, 9):
        toads.add_observation(number, sounds=2)
    # the same sound in two observations
    toads.observations[5]["sounds"].append(toads.observations[0]["sounds"][0])
    found = names(web, toads)
    assert found == [f"N{10 * number + part}.mp3" for number in range(1, 9) for part in (0, 1)]
    above = [query["id_above"] for path, query, *_ in toads.asked if path.endswith("observations")]
    assert above == ["0", "3", "6", "8"]


def test_pages_are_read_as_they_are_needed(web, toads):
    toads.per_page = 2
    for number in range(1, 20):
        toads.add_observation(number)
    sounds = iter(find_sounds(web, f"{toads.address}/inat", "American Toad"))
    next(sounds)
    assert toads.count("/inat/observations") == 1


def test_quality_grade(web, toads):
    toads.add_observation(1)
    toads.add_observation(2, quality_grade="needs_id")
    toads.add_observation(3, quality_grade="casual")
    assert names(web, toads) == ["N10.mp3"]
    assert names(web, toads, unverified_too=True) == ["N10.mp3", "N20.mp3"]


@pytest.mark.parametrize(
    "facts, name",
    [
        ({"file_url": "https://x/y/3.WAV?12"}, "N10.wav"),
        ({"file_url": "https://x/3", "file_content_type": "audio/mp4; x"}, "N10.m4a"),
        ({"file_url": "https://x/a/../../etc/passwd", "file_content_type": "audio/x-wav"}, "N10.wav"),
        ({"file_url": "https://x/3.exe", "file_content_type": None}, "N10.m4a"),
        ({"hidden": True}, None),
        ({"file_url": None}, None),
        ({"id": "../10"}, None),
    ],
)
def test_file_names(web, toads, facts, name):
    toads.add_observation(1)
    toads.observations[0]["sounds"][0] |= facts
    assert names(web, toads) == ([name] if name else [])
    assert names(web, toads, prefix=False) == ([name[1:]] if name else [])


def test_licences_and_rights(web, toads):
    for number, code in enumerate(["cc-by-nc", "cc0", None, "cc-by", ""], start=1):
        toads.add_observation(number)
        toads.observations[-1]["sounds"][0]["license_code"] = code
    all_of_them = list(find_sounds(web, f"{toads.address}/inat", "American Toad"))
    assert [one.details.licence for one in all_of_them] == [
        "CC-BY-NC", "CC0", "all rights reserved", "CC-BY", "all rights reserved",
    ]  # fmt: skip
    assert names(web, toads, licences=["CC0", "cc-by"]) == ["N20.mp3", "N40.mp3"]


@pytest.mark.parametrize("answer", [b"[]", b"{}", b'{"results": {}}'])
def test_answers_of_another_form(web, toads, answer):
    toads.files["/odd/taxa"] = (answer, "application/json")
    with pytest.raises(InputError, match="contains no results"):
        list(find_sounds(web, f"{toads.address}/odd", "American Toad"))


def test_the_command_writes_its_tables(take, toads, tmp_path, capsys):
    toads.add_observation(1, sounds=2)
    toads.add_observation(2, location="hidden", user=None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/inat.csv").write_text("Media ID,URL\n20,https://www.inaturalist.org/observations/2\n5,https://x\n")
    assert take(jobs=1) == 3
    assert [tuple(row.values()) for row in rows_of(tmp_path / "out/inat.csv")] == [
        ("20", "https://www.inaturalist.org/observations/2"), ("5", "https://x"),
        ("10", "https://www.inaturalist.org/observations/1"), ("11", "https://www.inaturalist.org/observations/1"),
    ]  # fmt: skip
    rows = {row["recording"]: row for row in rows_of(tmp_path / "out/recordings.csv")}
    assert rows["N10"] == {
        "recording": "N10", "class": "", "group": "iNat1", "source": "iNaturalist", "licence": "CC-BY-NC",
        "author": "Bob B.", "url": "https://www.inaturalist.org/observations/1",
        "time": "2021-06-01T05:00:00-04:00", "latitude": "45.5", "longitude": "-75.7",
    }  # fmt: skip
    assert (rows["N20"]["group"], rows["N20"]["latitude"], rows["N20"]["author"]) == ("", "", "")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert take() == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert capsys.readouterr().out.endswith("fetched = 0\npresent = 3\nfailed = 0\n")


def test_converted_sounds_are_present(take, toads, tmp_path):
    toads.add_observation(1)
    toads.observations[0]["sounds"][0]["file_url"] = f"{toads.address}/sounds/10.wav"
    (tmp_path / "out").mkdir()
    (tmp_path / "out/N10.mp3").write_bytes(b"converted")
    assert take() == 0
    assert not (tmp_path / "out/N10.wav").exists()


def test_most_counts_those_that_are_there(take, toads):
    for number in range(1, 8):
        toads.add_observation(number)
    assert take(max_downloads=3) == 3
    assert take(max_downloads=3) == 0
    assert take(max_downloads=5) == 2


def test_nothing_that_is_as_asked_for_is_an_error(take, toads):
    toads.add_observation(1)
    with pytest.raises(InputError, match="no sound of"):
        take(licences="CC0")
