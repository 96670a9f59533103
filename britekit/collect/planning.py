"""Plan a collection: query every source of the list and check all offers before anything is downloaded."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from britekit.annotations.classes import ClassInfo, read_classes
from britekit.annotations.verdicts import current_verdicts, read_verdicts
from britekit.collect.context import Context
from britekit.collect.download_cache import Downloads
from britekit.collect.licences import is_wanted
from britekit.collect.names import named_safely
from britekit.collect.offers import Offer, SourceRow, refused
from britekit.collect.other_species import OtherSpecies
from britekit.collect.sources import load_source
from britekit.collect.sources.verdicts import FOLDER as VERDICTS
from britekit.collect.sources_file import project_of, read_sources
from britekit.collect.test_recordings import TestRecordings
from britekit.config.misc import MiscConfig
from britekit.errors import InputError, some

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Planned:
    """An accepted offer."""

    row: SourceRow
    offer: Offer
    more_classes: tuple[str, ...] = ()
    """Further classes for which other rows offer the same test recording."""

    @property
    def split(self) -> str:
        """Where it goes: ``train``, ``test`` or ``unlabelled``."""
        return self.row.split

    @property
    def is_test(self) -> bool:
        """Whether it goes to the test recordings."""
        return self.split == "test"

    @property
    def place(self) -> Path:
        """Path below the directory of its split; training recordings lie in a folder per class."""
        name = Path(self.offer.file_name)
        return Path(self.offer.class_name) / name if self.split == "train" else name

    def is_there(self, directory: Path) -> bool:
        """Return whether this is a recording from the network that was collected before."""
        return self.offer.late_details is not None and (directory / self.place).is_file()


def plan_collection(
    sources_path: Path,
    classes_path: Path,
    licences: Sequence[str] | None = None,
    misc: MiscConfig | None = None,
    downloads: Downloads | None = None,
    window_s: float = 5.0,
    test_dir: Path = Path("data/test"),
) -> tuple[list[Planned], list[ClassInfo]]:
    """Query every source without downloading audio.

    Raises `InputError` if a source fails, names collide, annotations name unknown species, or a class has no training
    recording.

    Parameters
    ----------
    sources_path, classes_path
        ``sources.csv`` and the class list.
    licences
        Accepted licences; None for all. Otherwise recordings with an unknown licence are skipped.
    misc
        `map_codes`, `map_names` and `other_species` apply to annotations from sources.
    downloads
        Session and cache for sources on the network; without it, such sources raise an error.
    window_s
        Length of a spectrogram in seconds: the margin of judged stretches.
    test_dir
        Where test recordings lie that were collected before.

    Returns
    -------
    The recordings in the order of the list, and the classes.
    """
    classes = read_classes(classes_path)
    misc = misc or MiscConfig()
    species = OtherSpecies(classes, misc.map_names or {}, misc.other_species or ())
    context = Context(classes, project_of(sources_path), species, misc, downloads, window_s)
    rows = read_sources(sources_path, classes)
    offered = {row.row: _ask(row, context, sources_path) for row in rows if row.source != VERDICTS}
    tested = [offer for row in rows if row.split == "test" for offer in offered.get(row.row, [])]
    test = TestRecordings(tested, test_dir, misc.group_regex)
    context = replace(context, test=test)
    offered |= {row.row: _ask(row, context, sources_path) for row in rows if row.source == VERDICTS}
    _refuse_tested(rows, offered, test, sources_path)
    planned = [Planned(row, offer) for row in rows for offer in offered[row.row]]
    species.check()
    if not any(row.source == VERDICTS for row in rows):
        _mention_verdicts(context.project / "data" / "verdicts.csv", sources_path)
    found = {item.offer.class_name for item in planned if item.split == "train"}
    planned = [item for item in planned if is_wanted(item.offer.details.licence, licences)]
    planned = [
        replace(item, offer=named_safely(item.offer, number, item.split == "train"))
        for number, item in enumerate(planned)
    ]
    planned = _without_repeats(planned)
    _check_all_classes(planned, classes, classes_path, found)
    return planned, classes


def _ask(row: SourceRow, context: Context, sources_path: Path) -> list[Offer]:
    try:
        offers: list[Offer] = load_source(row.source).find(row, context)
    except InputError as error:
        raise InputError(f"{sources_path}, row {row.row}: {error}") from error
    return offers


def _refuse_tested(
    rows: Sequence[SourceRow], offered: dict[int, list[Offer]], test: TestRecordings, sources_path: Path
) -> None:
    """Drop unlabeled recordings that are tested, or of the group of one that is, with a warning.

    Raises `InputError` if none of the unlabeled recordings is left.
    """
    asked, left = 0, 0
    for row in (row for row in rows if row.split == "unlabelled"):
        refusals: dict[str, list[str]] = defaultdict(list)
        kept: list[Offer] = []
        for offer in offered[row.row]:
            offer = replace(offer, class_name="")  # noqa: PLW2901  the subject of a network search does not label what it found
            path = Path(offer.file_name)
            why = test.why(path, test.group_of(path, offer.details.group), Path(offer.origin))
            if why:
                refusals[why].append(offer.file_name)
            else:
                kept.append(offer)
        asked, left = asked + len(offered[row.row]), left + len(kept)
        for why, names in refusals.items():
            log.warning(
                "%s, row %d: %d unlabeled recordings are refused, each %s: %s",
                *(sources_path, row.row, len(names), why, some(names, 3)),
            )  # fmt: skip
        offered[row.row] = kept
    if any(row.split == "unlabelled" for row in rows) and not left:
        reason = "all of them are test recordings or of their groups" if asked else "the sources have none"
        raise InputError(
            f"{sources_path}: its rows with split unlabelled give no recording ({reason}); name an archive of other "
            "places, or remove the rows"
        )


def _mention_verdicts(table: Path, sources_path: Path) -> None:
    """Log how to use verdicts, if there are some that no row uses."""
    count = len(current_verdicts(read_verdicts(table))) if table.exists() else 0
    if count:
        log.info(
            "%s holds %d verdicts that are not trained with; a row *,verdicts,FOLDER,,train in %s brings the judged "
            "stretches of the recordings in FOLDER", table, count, sources_path,
        )  # fmt: skip


def _without_repeats(planned: Iterable[Planned]) -> list[Planned]:
    """Drop recordings offered twice for one path; different ones of equal stem there fail when they are fetched.

    A test recording offered for several classes is kept once, for all of them.
    """
    kept: dict[Path, Planned] = {}
    clashing: list[Planned] = []
    for item in planned:
        stem = item.place.with_suffix("")
        # file names on macOS and Windows are case-insensitive
        key = Path(item.offer.class_name, stem.name) if item.split == "train" else Path(item.split, stem)
        key = Path(str(key).casefold())
        first = kept.setdefault(key, item)
        if first is not item and (first.offer.origin, first.place) != (item.offer.origin, item.place):
            kept[key] = _clash(first, item)
            clashing.append(_clash(item, first))
            continue
        if item.offer.class_name not in (first.offer.class_name, *first.more_classes):
            kept[key] = replace(first, more_classes=(*first.more_classes, item.offer.class_name))
    return [*kept.values(), *clashing]


def _clash(item: Planned, other: Planned) -> Planned:
    reason = (
        f"{other.offer.origin} (row {other.row.row}) has the same name without extension, so that neither can be told "
        "from the other; rename one of them"
    )
    return replace(item, offer=refused(item.offer, reason))


def _check_all_classes(
    planned: Iterable[Planned], classes: Sequence[ClassInfo], classes_path: Path, found: set[str]
) -> None:
    with_recordings = {item.offer.class_name for item in planned if item.split == "train"}
    for info in classes:
        if info.name not in with_recordings:
            why = " with an accepted licence" if info.name in found else ""
            raise InputError(
                f'class "{info.name}" of {classes_path} has no training recording{why}; add a source '
                "with split train, or remove the class"
            )
