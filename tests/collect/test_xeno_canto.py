import csv
import logging

import pytest

from britekit.collect.xeno_canto import find_recordings
from britekit.commands import xeno
from britekit.errors import InputError

from .fake_sites import KEY


def found(web, site, name="Barred Owl", **options):
    return [one.file_name for one in find_recordings(web, f"{site.address}/xc", KEY, name, **options)]


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def take(site, settings, tmp_path):
    """Run the command into a folder, and return how many came."""

    def run(out="out", **options):
        given = {"key": KEY, "name": "Barred Owl", "output_dir": str(tmp_path / out), "cfg_path": settings}
        return xeno(**(given | options))

    return run


def test_names_match_exactly_and_case_does_not_matter(web, site):
    site.add_recording(1, en="Barred Owl")
    site.add_recording(2, en="Barred Owlet")
    site.add_recording(3, en="Barred Owl (hybrid)")
    assert found(web, site) == ["XC1.mp3"]
    assert found(web, site, "  barred   OWL ") == ["XC1.mp3"]
    assert site.asked[0][1]["query"] == 'en:"Barred Owl"'
    with pytest.raises(InputError, match='no recording of the English name "Barred"; did you mean "Barred Owl"'):
        found(web, site, "Barred")


def test_scientific_names(web, site):
    site.add_recording(1)
    site.add_recording(2, sp="varians")
    site.add_recording(3, ssp="georgica")
    assert found(web, site, "strix varia", scientific=True) == ["XC1.mp3", "XC3.mp3"]
    assert found(web, site, "Strix varia georgica", scientific=True) == ["XC3.mp3"]
    assert site.asked[0][1]["query"] == 'sp:"strix varia"'
    for bad in ("Strix", "a b c d"):
        with pytest.raises(InputError, match="not a scientific name"):
            found(web, site, bad, scientific=True)


@pytest.mark.parametrize("name", ["", " ", 'a" key:"b', "a\nb"])
def test_what_is_no_name(web, site, name):
    with pytest.raises(InputError, match="is not the name of a species"):
        found(web, site, name)
    assert not site.asked


def test_all_pages_are_read_and_nothing_is_taken_twice(web, site):
    site.per_page = 7
    for number in range(1, 21):
        site.add_recording(number, seed=0)
    # while pages are read, a new recording pushes others onto the next page, and their files get new names
    site.recordings += [site.recordings[3] | {"file-name": "renamed.wav", "file": site.address + "/moved"}]
    names = found(web, site)
    assert sorted(names) == sorted(f"XC{number}.mp3" for number in range(1, 21))
    assert [query["page"] for _, query, *_ in site.asked] == ["1", "2", "3"]


def test_quality_decides_the_order(web, site):
    for number, quality in enumerate(["E", "D", "no score", "B", "A", "", "C", "A"], start=1):
        site.add_recording(number, seed=0, q=quality)
    assert found(web, site) == [f"XC{number}.mp3" for number in (5, 8, 3, 6, 4, 7, 2, 1)]


LICENCES = {
    1: "//creativecommons.org/licenses/by-nc-sa/4.0/",
    2: "//creativecommons.org/licenses/by-nc-nd/4.0/",
    3: "https://creativecommons.org/publicdomain/zero/1.0/",
    4: "",
    5: "https://example.org/own-terms",
    6: "//creativecommons.org/licenses/by/4.0/",
}


@pytest.mark.parametrize(
    "options, numbers",
    [
        ({}, [1, 3, 5, 6]),
        ({"no_derivatives_too": True}, [1, 2, 3, 4, 5, 6]),
        ({"licences": ["CC0", "cc by"]}, [3, 6]),
        ({"licences": ["CC-BY-NC-ND"], "no_derivatives_too": True}, [2]),
    ],
)
def test_licences(web, site, options, numbers):
    for number, licence in LICENCES.items():
        site.add_recording(number, seed=0, lic=licence)
    assert found(web, site, **options) == [f"XC{number}.mp3" for number in numbers]


def test_seen_only(web, site):
    for number, seen in enumerate(["yes", "no", "unknown", "Yes"], start=1):
        site.add_recording(number, seed=0, **{"animal-seen": seen})
    assert found(web, site, seen_only=True) == ["XC1.mp3", "XC4.mp3"]


@pytest.mark.parametrize("number", ["../../etc/x", "1/2", "", "XC", "12a", "٣"])
def test_numbers_that_are_none_give_no_file(web, site, number):
    site.add_recording(1)
    site.add_recording(2, seed=0, id=number)
    assert found(web, site) == ["XC1.mp3"]


@pytest.mark.parametrize(
    "answer", [b"[]", b"{}", b'{"recordings": 3}', b'{"recordings": [], "numPages": "many"}', b'"x"']
)
def test_answers_of_another_form(web, site, answer):
    site.files["/odd"] = (answer, "application/json")
    with pytest.raises(InputError, match="Xeno-canto's answer"):
        find_recordings(web, f"{site.address}/odd", KEY, "Barred Owl")


def test_the_command_fills_a_directory(take, site, tmp_path, capsys):
    for number in (11, 12, 13):
        path = site.add_recording(number, rec="Ann, A.\nAuthor", **{"file-name": f"../../{number}/x.mp3"})
    assert take(jobs=1) == 3
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        "XC11.mp3", "XC12.mp3", "XC13.mp3", "recordings.csv",
    ]  # fmt: skip
    assert (out / "XC13.mp3").read_bytes() == site.files[path][0]
    assert rows_of(out / "recordings.csv")[0] == {
        "recording": "XC11", "class": "", "group": "", "source": "Xeno-Canto",
        "licence": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        "author": "Ann, A. Author", "url": "http://xeno-canto.org/11", "time": "2020-05-01 21:30",
        "latitude": "45.5", "longitude": "-75.7",
    }  # fmt: skip
    assert capsys.readouterr().out == "fetched = 3\npresent = 0\nfailed = 0\n"
    assert all(KEY not in str(asked) for asked in site.asked if asked[0] != "/xc"), "audio is asked for without key"


def test_present_files_are_skipped_and_not_counted(take, site, tmp_path, capsys):
    for number in range(1, 7):
        site.add_recording(number)
    assert take(max_downloads=2) == 2
    (tmp_path / "out" / "recordings.csv").unlink()
    assert take(max_downloads=2) == 2
    assert "fetched = 2\npresent = 2\n" in capsys.readouterr().out
    table = [row["recording"] for row in rows_of(tmp_path / "out" / "recordings.csv")]
    assert sorted(table) == ["XC1", "XC2", "XC3", "XC4"], "what a killed run did not record is recorded"
    assert take() == 2 and take() == 0
    assert len(rows_of(tmp_path / "out" / "recordings.csv")) == 6
    assert all(site.count(f"/audio/{number}/download") == 1 for number in range(1, 7))


def test_a_table_of_others_is_added_to(take, site, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/recordings.csv").write_text("recording,remark,licence\nmine,my own,CC0\nXC1,checked,CC-BY")
    site.add_recording(1)
    site.add_recording(2)
    take()
    rows = rows_of(tmp_path / "out/recordings.csv")
    assert [(row["recording"], row["remark"], row["author"]) for row in rows] == [
        ("mine", "my own", ""), ("XC1", "checked", "Ann Author"), ("XC2", "", "Ann Author"),
    ]  # fmt: skip


def test_one_bad_recording_spares_the_others(take, site, tmp_path, capsys, caplog):
    for number in range(1, 5):
        site.add_recording(number)
    site.faults["/audio/2/download"] = ["html"]
    site.faults["/audio/3/download"] = ["404"]
    with pytest.raises(InputError, match="1 recordings could not be downloaded, XC2.mp3 because of"):
        take()
    assert "fetched = 2\npresent = 0\nfailed = 1\nunavailable = 1" in capsys.readouterr().out
    assert not (tmp_path / "out/XC2.mp3").exists()
    assert take() == 2


def test_a_site_that_refuses_is_left_alone(take, site, capsys):
    for number in range(1, 31):
        site.add_recording(number, seed=0)
        site.faults[f"/audio/{number}/download"] = ["429"] * 4
    with pytest.raises(InputError, match="the others were not requested"):
        take(jobs=1)
    assert sum(path.startswith("/audio") for path, *_ in site.asked) == 5 * 4


def test_recordings_without_audio_are_unavailable(take, site, capsys):
    site.add_recording(1, file=None)
    site.add_recording(2)
    assert take() == 1
    assert "unavailable = 1" in capsys.readouterr().out


def test_links_without_scheme_or_host(take, site):
    site.add_recording(1, file=site.address.removeprefix("http:") + "/audio/1/download")
    site.add_recording(2, file="/audio/2/download")
    assert take() == 2


def test_a_link_with_the_key_is_not_followed(take, site, tmp_path, caplog):
    site.add_recording(1, file=f"{site.address}/audio/1/download?key=s3cr%26t%2Fkey%2B1")
    with pytest.raises(InputError, match="contains the key"):
        take()
    assert site.count("/audio/1/download") == 0


def test_dry_run_lists_length_and_licence_and_writes_nothing(take, site, tmp_path, capsys):
    site.add_recording(1, length="1:05", q="A")
    site.add_recording(2, length="1:02:03", q="C")
    assert take(dry_run=True) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["recording", "seconds", "licence", "author", "origin"]
    assert [line[:2] for line in lines[1:]] == [["XC1.mp3", "65.0"], ["XC2.mp3", "3723.0"]]
    assert lines[1][2].endswith("licenses/by-nc-sa/4.0/") and not (tmp_path / "out").exists()


def test_the_key_comes_from_the_environment_or_is_missed(take, site, monkeypatch):
    site.add_recording(1)
    monkeypatch.setenv("XCKEY", KEY)
    assert take(key=None) == 1
    monkeypatch.delenv("XCKEY")
    with pytest.raises(InputError, match="XCKEY"):
        take(key=None)


def test_a_wrong_key_is_told_and_not_shown(take, site, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InputError, match=r"answered 401 Unauthorized: The key \[key\] is not valid") as caught:
        take(key="other-key-9")
    captured = capsys.readouterr()
    assert "other-key" not in str(caught.value) + caplog.text + captured.out + captured.err


@pytest.mark.parametrize(
    "options, said",
    [
        ({"name": ""}, "no species was named"),
        ({"name": "", "scientific_name": True}, "no species was named"),
        ({"max_downloads": 0}, "--max is 0"),
        ({"jobs": 9}, "--jobs is 9"),
        ({"licences": " ,"}, "list of licences"),
    ],
)
def test_bad_options(take, options, said):
    with pytest.raises(InputError, match=said):
        take(**options)


def test_two_commands_do_not_share_a_directory(take, site, tmp_path):
    from britekit.collect.recording_folder import Store

    site.add_recording(1)
    with Store(tmp_path / "out", web=None), pytest.raises(InputError, match="another command is downloading"):
        take()
    assert take() == 1
