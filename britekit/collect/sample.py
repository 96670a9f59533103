"""Synthesize training and test recordings of imaginary species, with exact annotations.

A recording depends only on the seed, its species and its number, so more recordings do not change the first ones. Test
recordings also depend on the set of species.
"""

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from britekit.annotations.segments import Annotation, write_annotations
from britekit.collect.atomic_folder import check_conflicts, publish, staging
from britekit.collect.recordings_table import FILE_NAME, Details, RecordingRow, write_recordings_table
from britekit.collect.synth.calls import Generator
from britekit.collect.synth.sites import FIRST_UNSEEN, Site, draw_site
from britekit.collect.synth.soundscape import Bout, synthesize, write_flac
from britekit.collect.synth.species import NOISE, Species, first_species
from britekit.errors import InputError
from britekit.files import write_text
from britekit.progress import track

DEFAULT_CLASSES = 6
DEFAULT_RECORDINGS = 40
DEFAULT_TEST = 13
DEFAULT_SEED = 1
DEFAULT_ARCHIVE = 120
LICENCE = "CC0"

_TRAIN_SNR_DB = (-12.0, 12.0)
_TEST_SNR_DB = (-18.0, 8.0)
# Sites of the archive, and of the test at sites that the archive lacks.
_ARCHIVE_SITES = 12
_UNSEEN_SITES = 8


@dataclass(frozen=True)
class SampleRecording:
    """A recording that can be synthesized."""

    stem: str
    seconds: float
    class_name: str
    """Class; ``""`` for test recordings."""
    bouts: tuple[Bout, ...]
    key: tuple[int, ...]
    """Seed of its samples."""
    site: Site | None = None
    """Where it was recorded; None under the conditions of the training recordings."""

    @property
    def details(self) -> Details:
        """Return its row of ``recordings.csv``; the site is the group."""
        return Details(group=self.site.name if self.site else "", source="sample", licence=LICENCE, author="britekit")

    def write(self, path: Path) -> list[Annotation]:
        """Synthesize the recording into a FLAC file, and return its annotations by class code."""
        samples, soundings = synthesize(np.random.default_rng(self.key), self.seconds, self.bouts, self.site)
        write_flac(path, samples)
        found = [Annotation(self.stem, x.species.info.label("codes"), x.start_s, x.end_s) for x in soundings]
        return found or [Annotation(self.stem, "", 0.0, 0.0)]


def plan_training(species: Species | None, count: int, seed: int) -> Iterator[SampleRecording]:
    """Yield training recordings of one species, 5 to 10 s each; None is the class Noise."""
    info = species.info if species else NOISE
    for number in range(1, count + 1):
        key = (seed, 0, zlib.crc32(info.name.encode()), number)
        rng = _planner(key)
        # most have one segment of 5 s, one in ten has two
        seconds = round(float(rng.uniform(7.6, 10.0) if rng.uniform() < 0.1 else rng.uniform(5.0, 7.4)), 2)
        bouts = (Bout(species, float(rng.uniform(0, 0.8)), seconds, _TRAIN_SNR_DB),) if species else ()
        yield SampleRecording(f"{info.code}-{number:04d}", seconds, info.name, bouts, key)


def plan_test(species: Sequence[Species], count: int, seed: int) -> Iterator[SampleRecording]:
    """Yield test recordings of 45 to 60 s in which 3 to 5 animals call, often at once; in one of 13, none."""
    names = ",".join(sorted(item.info.name for item in species))
    deck: list[Species] = []
    for number in range(1, count + 1):
        key = (seed, 1, zlib.crc32(names.encode()), number)
        rng = _planner(key)
        seconds = round(float(rng.uniform(45, 60)), 2)
        bouts = []
        for _ in range(0 if number % 13 == 0 else int(rng.integers(3, 6))):
            if not deck:
                # using all species before repeating any keeps a small test balanced
                deck = [species[place] for place in rng.permutation(len(species))]
            length = float(rng.uniform(8, 25))
            start = float(rng.uniform(0, seconds - length))
            bouts.append(Bout(deck.pop(), start, start + length, _TEST_SNR_DB, pause_factor=1.5))
        yield SampleRecording(f"soundscape-{number:04d}", seconds, "", tuple(bouts), key)


def plan_sites(species: Sequence[Species], count: int, seed: int, unseen: bool = False) -> Iterator[SampleRecording]:
    """Yield soundscapes of 45 to 60 s from other sites, in turn: of the archive, or of sites that it lacks.

    Up to 5 animals call in each; in one of 6, none.
    """
    names = ",".join(sorted(item.info.name for item in species))
    first, sites = (FIRST_UNSEEN, _UNSEEN_SITES) if unseen else (1, _ARCHIVE_SITES)
    for number in range(1, count + 1):
        site = draw_site(seed, first + (number - 1) % sites, len(species))
        key = (seed, 2, zlib.crc32(names.encode()), site.number, number)
        rng = _planner(key)
        seconds = round(float(rng.uniform(45, 60)), 2)
        bouts = []
        for _ in range(int(rng.integers(0, 6))):
            caller = species[int(rng.choice(len(species), p=site.weights))]
            length = float(rng.uniform(8, 25))
            start = float(rng.uniform(0, seconds - length))
            bouts.append(Bout(caller, start, start + length, _TEST_SNR_DB, pause_factor=1.5))
        yield SampleRecording(f"{site.name}-{number:04d}", seconds, "", tuple(bouts), key, site)


def write_samples(
    output: Path,
    classes: int = DEFAULT_CLASSES,
    recordings: int = DEFAULT_RECORDINGS,
    test: int = DEFAULT_TEST,
    seed: int = DEFAULT_SEED,
    archive: int = 0,
    unseen: int = 0,
) -> tuple[int, int]:
    """Write a tree of training recordings, soundscapes with annotations, and the class list.

    Parameters
    ----------
    output
        Directory for ``recordings/<class>/``, ``recordings/recordings.csv``, ``test/``, ``test/annotations.csv``,
        ``classes.csv``.
    recordings
        Training recordings per class, at least 1.
    test
        Test recordings, at least 0.
    seed
        At least 0; equal seeds give equal bytes.
    archive
        Soundscapes without annotations of other sites, for ``archive/``.
    unseen
        Annotated soundscapes of sites that the archive lacks, for ``unseen/``.

    Returns
    -------
    Number of training and of test recordings.
    """
    counts = {"recordings": (recordings, 1), "test": (test, 0), "archive": (archive, 0), "unseen": (unseen, 0)}
    for name, (value, least) in (counts | {"seed": (seed, 0)}).items():
        if value < least:
            raise InputError(f"{name} is {value}; expected {least} or more")
    species = first_species(classes)
    train_plan = [item for one in (*species, None) for item in plan_training(one, recordings, seed)]
    test_plan = list(plan_test(species, test, seed))
    for folder, count in (("archive", archive), ("unseen", unseen)):
        if count:
            _write_sites(output / folder, list(plan_sites(species, count, seed, folder == "unseen")))
    train_dir, test_dir = output / "recordings", output / "test"
    with staging(train_dir) as train_stage, staging(test_dir) as test_stage, ThreadPoolExecutor(2) as pool:
        for item in train_plan:
            (train_stage / item.class_name).mkdir(exist_ok=True)
        paths = [train_stage / item.class_name / f"{item.stem}.flac" for item in train_plan]
        paths += [test_stage / f"{item.stem}.flac" for item in test_plan]
        work = pool.map(SampleRecording.write, [*train_plan, *test_plan], paths)
        found = list(track(work, len(paths), "synthesizing"))[len(train_plan) :]
        rows = [RecordingRow(item.stem, item.class_name, item.details) for item in train_plan]
        write_recordings_table(train_stage / FILE_NAME, rows)
        write_annotations(test_stage / "annotations.csv", [label for labels in found for label in labels])
        check_conflicts(train_stage, train_dir, {FILE_NAME})
        check_conflicts(test_stage, test_dir, {"annotations.csv"})
        publish(train_stage, train_dir, FILE_NAME)
        publish(test_stage, test_dir, "annotations.csv")
    infos = [*(one.info for one in species), NOISE]
    write_text(output / "classes.csv", "".join(["Name,Code\n", *(f"{x.name},{x.code}\n" for x in infos)]))
    return len(train_plan), len(test_plan)


def _write_sites(folder: Path, plan: Sequence[SampleRecording]) -> None:
    """Write soundscapes of sites with ``recordings.csv``; annotations only where the archive lacks the site."""
    last = "annotations.csv" if plan[0].site and plan[0].site.number >= FIRST_UNSEEN else FILE_NAME
    with staging(folder) as stage, ThreadPoolExecutor(2) as pool:
        work = pool.map(SampleRecording.write, plan, [stage / f"{item.stem}.flac" for item in plan])
        found = list(track(work, len(plan), "synthesizing"))
        write_recordings_table(stage / FILE_NAME, [RecordingRow(item.stem, "", item.details) for item in plan])
        if last != FILE_NAME:
            write_annotations(stage / last, [label for labels in found for label in labels])
        check_conflicts(stage, folder, {FILE_NAME, last})
        publish(stage, folder, last)


def _planner(key: tuple[int, ...]) -> Generator:
    return np.random.default_rng((*key, 1))
