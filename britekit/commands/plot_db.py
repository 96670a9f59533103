"""Plot the stored spectrograms of a class.

Pictures are named {recording}-{offset}.jpeg, as del-seg and extract-by-image expect; existing ones are kept.
--sheet draws many spectrograms on a page, --augment shows them as training may see them.

    britekit plot-db --name Ovenbird -o plots/Ovenbird --max 200
"""

from typing import Annotated, Any, Optional

from britekit.options import ClassName, ConfigPath, DbPath, NoAxes, PicturesDir, Power, SpecGroup, opt


def plot_db(
    cfg_path: ConfigPath = None,
    class_name: ClassName = "",
    db_path: DbPath = None,
    ndims: NoAxes = False,
    max_count: Annotated[
        Optional[int], opt("--max", metavar="N", help="maximum number of spectrograms, in the order of recordings")
    ] = None,
    output_path: PicturesDir = "",
    prefix: Annotated[
        Optional[str],
        opt("--prefix", metavar="TEXT", help="only recordings whose file name starts with this, ignoring case"),
    ] = None,
    power: Power = 1.0,
    spec_group: SpecGroup = "default",
    augment: Annotated[
        bool, opt("--augment", help="mix and augment them first, as training would (see plot-augment)")
    ] = False,
    sheet: Annotated[bool, opt("--sheet", help="many spectrograms on a page, {class}-sheet.jpeg")] = False,
) -> int:
    """Plot the stored spectrograms of a class; return how many were drawn."""
    from britekit.commands._pictures import checked_output, report
    from britekit.config import resolve
    from britekit.database.session import open_database
    from britekit.datasets.class_pictures import plot_class
    from britekit.plots.recordings import PictureStyle
    from britekit.progress import track

    cfg = resolve(cfg_path)
    style, directory = PictureStyle(not ndims, power), checked_output(output_path)
    with open_database(db_path or cfg.train.train_db, "read") as session:
        change = _like_training(session, cfg, class_name, spec_group) if augment else None
        drawn = plot_class(
            session,
            class_name,
            spec_group,
            cfg.audio,
            directory,
            style,
            prefix=prefix or "",
            max_count=max_count,
            sheet=sheet,
            change=change,
            show_progress=lambda numbers: track(numbers, what="plot-db"),
        )
    report(drawn)
    return drawn.made


def _like_training(session: Any, cfg: Any, class_name: str, group: str) -> Any:
    """Return what mixes and augments spectrograms of a class as configured."""
    from britekit.database.classes import require_class
    from britekit.datasets.augmentations.registry import Fade
    from britekit.datasets.before_after import LikeTraining
    from britekit.datasets.excerpt import read_database_excerpt
    from britekit.datasets.mixing import MixSettings

    train, size = cfg.train, (cfg.audio.spec_height, cfg.audio.spec_width)
    require_class(session, class_name)
    pool = read_database_excerpt(session, size, class_name, train.noise_class_name, 32, group)
    merge = train.prob_simple_merge if train.multi_label else 0.0  # as in training
    mixing = MixSettings(merge, train.prob_mixup, train.prob_cutmix, train.mixup_alpha)
    fade = Fade(train.prob_fade1, train.min_fade1, train.max_fade1)
    return LikeTraining(pool, class_name, train.augmentations, mixing, fade, train.max_augmentations)
