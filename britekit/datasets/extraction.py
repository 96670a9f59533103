"""The training database of a project, built from a tree of recordings."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from britekit.annotations.classes import ClassInfo, read_classes
from britekit.annotations.judged_stretches import apart, known_in, windows_of
from britekit.audio.files import Failures
from britekit.audio.window_grid import WindowGrid
from britekit.config import BaseConfig
from britekit.database.classes import add_class, get_or_add_category, segment_counts
from britekit.database.deletion import delete_category, delete_group, delete_source
from britekit.database.recordings import get_or_add_source
from britekit.database.schema import DEFAULT_NAME, Recording, SoundType, Source, SpecGroup
from britekit.database.session import publish_database
from britekit.database.spectrograms import get_or_add_group, variant_group
from britekit.database.tracked import note_applied_rows
from britekit.datasets.curation import Curation, read_curation, report_problems
from britekit.datasets.plans import Plan, by_channel
from britekit.datasets.storing import DEFAULT_GROUP, Extraction, Place, store_plans
from britekit.datasets.tree import read_tree
from britekit.errors import InputError, some

log = logging.getLogger(__name__)


def build_training_database(
    cfg: BaseConfig,
    root: Path,
    classes_path: Path,
    curation_path: Path | None,
    target: str | os.PathLike[str],
    group: str = DEFAULT_GROUP,
    strict: bool = False,
) -> Extraction:
    """Build the training database of a project from a tree ``<class>/<recording>``.

    The same recordings, settings and decisions give the same bytes. An unreadable recording is reported and
    left out; whether any was is in the result. Whatever was at ``target`` stays until the new one is
    complete.

    Parameters
    ----------
    cfg
        ``audio``, ``pipeline.extract_overlap``, ``pipeline.extract_variants``, ``pipeline.variant_noise``,
        ``misc.source_regexes``, ``misc.group_regex``.
    root
        The tree, with an optional ``recordings.csv``.
    classes_path
        The class list; a folder that is not in it, or a class without recordings, is an error.
    curation_path
        Decisions about segments, or None.
    strict
        Make a decision that matches no segment an error.
    """
    duration, overlap = cfg.audio.spec_duration, cfg.pipeline.extract_overlap
    classes = read_classes(classes_path)
    curation = read_curation(curation_path, classes)
    curation.step_s = WindowGrid.for_extraction(duration, overlap).step_s
    failures = Failures()
    plans = by_channel(read_tree(root, classes, cfg.misc, failures), cfg.audio)
    _check_every_class(root, classes_path, classes, plans, curation)
    _choose_windows(plans, duration, overlap)
    variants = None
    if cfg.pipeline.extract_variants:
        from britekit.datasets.waveform_variants import WaveformVariants  # slow to import

        variants = WaveformVariants(cfg)
    decisions = curation.about((plan.filename, plan.source) for plan in plans)

    def choose(plan: Plan, offset: float) -> list[str]:
        rows = decisions[plan.filename, plan.source]
        return curation.classes_of(rows, plan.classes_at(offset, duration), offset)

    with publish_database(target) as session:
        class_ids = _add_classes(session, curation)
        names = [group, *(variant_group(group, number + 1) for number in range(cfg.pipeline.extract_variants))]
        own, *others = [get_or_add_group(session, name, cfg.audio.stored()) for name in names]
        place = Place(class_ids, own, others)
        session.commit()
        result = store_plans(
            session, cfg.audio, plans, lambda: place, 0.0, choose=choose, stored_path=project_path,
            vary=None if variants is None else variants.of,
        )  # fmt: skip
        result.failures += failures.failures + ([] if variants is None else variants.failures.failures)
        if not result.computed:
            result.raise_for_failures()
            raise InputError(f"{root}: no recording gives a segment; see the warnings above")
        _settle_names(session, curation)
        note_applied_rows(session, curation.count)
        report_problems(curation, curation_path, strict)
        counts = segment_counts(session)
        result.per_class = {name: counts[class_id] for name, class_id in class_ids.items()}
    for name, count in result.per_class.items():
        if not count:
            log.warning('class "%s" has no segment in %s', name, target)
    return result


def _choose_windows(plans: Sequence[Plan], duration: float, overlap: float) -> None:
    """Give each plan its windows: a grid over the recording, or those that show what was judged."""
    useless = 0
    for plan in plans:
        grid = WindowGrid.for_extraction(duration, overlap, bool(plan.annotations))
        plan.starts = grid
        if not plan.judged or plan.class_names or plan.annotations:
            continue
        starts = {stretch: windows_of(stretch, plan.seconds, duration, grid.step_s) for stretch in plan.judged}
        if plan.seconds > duration:  # else the grid has one window, padded with silence
            plan.starts = apart([start for found in starts.values() for start in found], duration)
        for stretch, found in starts.items():
            known = [known_in(plan.judged, start, duration, plan.seconds) for start in found]
            useless += not any(stretch.heard & set(heard) or stretch.absent & set(absent) for heard, absent in known)
    if useless:
        log.warning(
            "%d judged stretches say nothing about any window of %g s: rejected ones shorter than that, since the "
            "class may be heard in the rest of the window, confirmed ones longer than two windows whose bounds were "
            "not corrected, and stretches that other verdicts contradict", useless,
            duration,
        )  # fmt: skip


def _add_classes(session: Session, curation: Curation) -> dict[str, int]:
    """Add the categories, classes and sound types that decisions leave; return class IDs by name."""
    catalog = curation.catalog
    categories = {name: get_or_add_category(session, name) for name in catalog.categories}
    for name in catalog.soundtypes:
        session.execute(insert(SoundType).values(name=name, inserted_date=session.info["inserted_date"]))
    return {
        name: add_class(session, name, info.code, categories[category], alt_name=info.alt_name, alt_code=info.alt_code)
        for name, (category, info) in catalog.classes.items()
    }


def _settle_names(session: Session, curation: Curation) -> None:
    """Bring sources, groups and the default category to what decisions leave."""
    catalog = curation.catalog
    for name in catalog.removed_sources:
        # Recordings that it has in spite of its removal were brought back by later rows.
        has_recording = select(Recording.id).where(Recording.source_id == Source.id).exists()
        if session.scalar(select(Source.id).where(Source.name == name, ~has_recording)) is not None:
            delete_source(session, name)
    for name in catalog.added_sources:
        get_or_add_source(session, name)
    if DEFAULT_NAME not in catalog.categories:
        delete_category(session, DEFAULT_NAME)
    for name in sorted(catalog.removed_groups):
        if session.scalar(select(SpecGroup.id).where(SpecGroup.name == name)) is not None:
            delete_group(session, name)


def project_path(path: Path) -> str:
    """Return a path relative to the working directory, so that a clone elsewhere builds the same bytes."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:  # on another drive of Windows
        return path.absolute().as_posix()


def _check_every_class(
    root: Path, classes_path: Path, classes: Sequence[ClassInfo], plans: Sequence[Plan], curation: Curation
) -> None:
    found = {name for plan in plans for name in plan.every_class} | curation.targets()
    # What was removed by a decision needs no recordings.
    found |= {info.name for info in classes} - curation.catalog.classes.keys()
    missing = [info.name for info in classes if info.name not in found]
    if missing:
        listed = some([f'"{name}"' for name in missing], 10)
        raise InputError(
            f"{root} has no recordings of {listed}, listed in {classes_path}; "
            f"expected them in {root / missing[0]}, or the class removed from the list"
        )
