"""Soundscapes of other sites: what they share, what differs, and that nothing else of `sample` changes."""

import numpy as np
import pytest
from scipy import signal, stats

from britekit.annotations.segments import read_annotations
from britekit.collect.recordings_table import read_recordings_table
from britekit.collect.sample import plan_sites, write_samples
from britekit.collect.synth.calls import RATE
from britekit.collect.synth.sites import FIRST_UNSEEN, RESPONSE_HZ, Site, at_site, draw_site
from britekit.collect.synth.species import first_species
from britekit.commands.collect import collect
from britekit.errors import InputError

from .test_sample import digest

PLAIN = Site(1, (0.0,) * len(RESPONSE_HZ), 0.0, (300.0, 900.0), 0.0, (3000.0,), 0.0, 0.1, 0.0, (1.0,))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("sites")
    write_samples(root / "a", classes=2, recordings=1, test=1, seed=7, archive=2, unseen=2)
    return root


def test_the_archive_has_no_annotations_and_the_unseen_sites_have(written):
    found = digest(written / "a")
    assert sorted(name for name in found if name.startswith("archive/")) == [
        "archive/recordings.csv", "archive/site-001-0001.flac", "archive/site-002-0002.flac",
    ]  # fmt: skip
    assert {name for name in found if name.startswith("unseen/")} == {
        "unseen/recordings.csv", "unseen/annotations.csv", "unseen/site-101-0001.flac", "unseen/site-102-0002.flac",
    }  # fmt: skip
    groups = {row.recording: row.details.group for row in read_recordings_table(written / "a/unseen/recordings.csv")}
    assert groups == {"site-101-0001": "site-101", "site-102-0002": "site-102"}
    assert {item.recording for item in read_annotations(written / "a/unseen/annotations.csv")} == set(groups)


def test_the_rest_has_the_bytes_that_it_has_without(written):
    write_samples(written / "b", classes=2, recordings=1, test=1, seed=7)
    both = digest(written / "a")
    assert digest(written / "b") == {k: v for k, v in both.items() if not k.startswith(("archive/", "unseen/"))}


def test_equal_seeds_give_equal_bytes_and_asking_for_more_keeps_the_first(written):
    write_samples(written / "c", classes=2, recordings=1, test=0, seed=7, archive=1)
    assert digest(written / "c")["archive/site-001-0001.flac"] == digest(written / "a")["archive/site-001-0001.flac"]


def test_no_site_of_the_test_is_in_the_archive():
    species = first_species(6)
    archive = {item.site.number for item in plan_sites(species, 200, 1)}
    unseen = {item.site.number for item in plan_sites(species, 200, 1, unseen=True)}
    assert len(archive) == 12 and len(unseen) == 8 and min(unseen) == FIRST_UNSEEN > max(archive)


def test_animals_call_as_often_as_the_site_says():
    species = first_species(3)
    counts = {}
    for item in plan_sites(species, 2400, 5):
        for bout in item.bouts:
            place = counts.setdefault(item.site.number, np.zeros(3))
            place[species.index(bout.species)] += 1
    for number, count in counts.items():
        expected = np.array(draw_site(5, number, 3).weights) * count.sum()
        usual = expected >= 5  # as the chi-square test wants
        assert (
            stats.chisquare(count[usual], expected[usual] * count[usual].sum() / expected[usual].sum()).pvalue > 1e-4
        ), number


def test_the_microphone_changes_each_band_by_its_gain():
    site = Site(1, (-6.0, 0.0, 4.0, 8.0, -3.0, -9.0), *list(vars(PLAIN).values())[2:])
    rng = np.random.default_rng(0)
    noise = rng.normal(size=RATE * 20).astype(np.float32)
    heard = at_site(rng, site, noise, np.zeros_like(noise))
    hz, before = signal.welch(noise, RATE, nperseg=4096)
    _, after = signal.welch(heard, RATE, nperseg=4096)
    for center_hz, gain_db in zip(RESPONSE_HZ[1:-1], site.gains_db[1:-1], strict=True):
        near = np.abs(hz - center_hz) < 30
        assert 10 * np.log10(after[near].mean() / before[near].mean()) == pytest.approx(gain_db, abs=0.5)


def test_calls_echo_and_come_from_farther_away():
    rng = np.random.default_rng(0)
    click = np.zeros(RATE * 2, np.float32)
    click[1000] = 1.0
    quiet = np.zeros_like(click)
    values = {**vars(PLAIN), "echo": 0.8, "echo_s": 0.1, "level_db": -6.0}
    heard = at_site(rng, Site(**values), quiet, click)
    assert heard[1000] == pytest.approx(10 ** (-6 / 20), rel=0.05)
    tail = np.square(heard[1100:].astype(np.float64))
    assert np.sqrt(tail.sum()) == pytest.approx(0.8 * 10 ** (-6 / 20), rel=0.05)
    # energy falls to 1/e^2 in the time in which the amplitude falls to 1/e
    first, second = tail[441 : 441 + 2205].sum(), tail[441 + 2205 : 441 + 4410].sum()
    assert second / first == pytest.approx(np.exp(-2), rel=0.2)


def test_a_site_without_anything_of_its_own_changes_nothing():
    rng = np.random.default_rng(0)
    background, calls = rng.normal(size=(2, 5000)).astype(np.float32)
    assert np.allclose(at_site(rng, PLAIN, background, calls), background + calls, atol=1e-4)


def test_the_source_gives_an_archive_and_a_test_of_unseen_sites(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/classes.csv").write_text("Name,Code\nSilver Triller,SITR\nNoise,NOIS\n")
    (tmp_path / "data/sources.csv").write_text(
        "class,source,query,limit,split\n*,sample,*,1,train\n*,sample,sites,1,test\n*,sample,*,2,unlabelled\n"
    )
    assert collect() == 2 + 1 + 2
    assert "unlabeled recordings = 2" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "data/unlabelled").iterdir()) == [
        "recordings.csv", "site-001-0001.flac", "site-002-0002.flac",
    ]  # fmt: skip
    assert (tmp_path / "data/test/site-101-0001.flac").exists()


@pytest.mark.parametrize("change", [{"archive": -1}, {"unseen": -1}])
def test_impossible_numbers(tmp_path, change):
    with pytest.raises(InputError, match="expected 0 or more"):
        write_samples(tmp_path, **change)
    assert not list(tmp_path.iterdir())
