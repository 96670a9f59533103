"""Show each augmentation before and after.

Draws one picture per augmentation with its parameters in the title: simple_merge, mixup, cutmix, all entries
of train.augmentations (even if their probability is 0), fade, and training, which shows what the network will
see. Edit the parameters and run the command again; earlier pictures are replaced.

    britekit plot-augment --name "Barred Owl" -o plots/augmentations
"""

from typing import Annotated, Any, Optional

from britekit.options import ConfigPath, opt


def plot_augment(
    cfg_path: ConfigPath = None,
    db_path: Annotated[
        Optional[str],
        opt("-d", "--db", metavar="DB", help="take spectrograms of this training database: a path or a URL"),
    ] = None,
    pickle_path: Annotated[
        Optional[str],
        opt("--pickle", metavar="FILE", help="take them from this training file (default: train.train_pickle)"),
    ] = None,
    output_path: Annotated[
        str, opt("-o", "--output", metavar="DIR", required=True, help="directory for the pictures")
    ] = "",
    class_name: Annotated[
        Optional[str], opt("--name", metavar="NAME", help="class to show (default: any but noise)")
    ] = None,
    num: Annotated[int, opt("--num", metavar="N", help="spectrograms per picture (default: 4)")] = 4,
    power: Annotated[float, opt("--power", metavar="X", help="exponent for display (default: 0.5)")] = 0.5,
    seed: Annotated[int, opt("--seed", metavar="INT", help="seed of all random choices (default: 0)")] = 0,
    spec_group: Annotated[
        str, opt("--sgroup", metavar="NAME", help="spectrogram group of a database (default: default)")
    ] = "default",
) -> list[str]:
    """Draw each augmentation's effect on random spectrograms; return the pictures written."""
    from pathlib import Path

    from britekit.config import resolve
    from britekit.errors import InputError

    cfg = resolve(cfg_path)
    if not output_path:
        raise InputError("no directory for the pictures; name one with -o")
    if db_path is not None and pickle_path is not None:
        raise InputError("--db and --pickle were both given; spectrograms come from one of them")
    if not 1 <= num <= 12:
        raise InputError(f"--num {num}: expected 1 to 12 spectrograms per picture")
    if not power > 0:
        raise InputError(f"--power {power:g}: expected a number above 0")
    if seed < 0:
        raise InputError(f"--seed {seed}: a seed is a whole number from 0")
    excerpt = _excerpt(cfg, db_path, pickle_path, class_name, num, seed, spec_group)

    from britekit.datasets.augmentations.registry import Fade
    from britekit.datasets.before_after import augmentation_examples
    from britekit.datasets.mixing import MixSettings
    from britekit.plots.before_after import plot_before_after
    from britekit.progress import track

    train = cfg.train
    merge = train.prob_simple_merge if train.multi_label else 0.0  # as in training
    examples = augmentation_examples(
        excerpt,
        train.augmentations,
        MixSettings(merge, train.prob_mixup, train.prob_cutmix, train.mixup_alpha),
        Fade(train.prob_fade1, train.min_fade1, train.max_fade1),
        train.max_augmentations,
        seed,
    )
    written = []
    for example in track(examples, total=len(train.augmentations) + 5, what="plot-augment"):
        path = Path(output_path) / f"{example.name}.jpeg"
        plot_before_after(path, example.before, example.after, example.title, power)
        written.append(str(path))
    print(f"pictures = {len(written)}")
    return written


def _excerpt(
    cfg: Any,
    db_path: Optional[str],
    pickle_path: Optional[str],
    class_name: Optional[str],
    count: int,
    seed: int,
    group: str,
) -> Any:
    from pathlib import Path

    from britekit.datasets.excerpt import read_database_excerpt, read_pickle_excerpt
    from britekit.errors import InputError

    size = (cfg.audio.spec_height, cfg.audio.spec_width)
    noise = cfg.train.noise_class_name
    if db_path is not None:
        from britekit.database.session import open_database

        with open_database(db_path) as session:
            return read_database_excerpt(session, size, class_name, noise, count, group, seed)
    path = pickle_path or cfg.train.train_pickle
    if not Path(path).exists():
        raise InputError(f"{path} does not exist; make it with `britekit pickle`, or name a database with --db")
    return read_pickle_excerpt(path, size, class_name, noise, count, seed)
