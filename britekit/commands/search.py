"""Find the stored segments of a class that look most like a segment of a recording.

Writes a picture of each, a contact sheet of all, and results.csv. Needs embeddings (see embed). With several
offsets, a segment counts by the target that it is nearest to.

    britekit search --name Ovenbird -i unknown.wav --offset 12.5,40 -o results/search
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, db_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `search`."""

    cfg_path: Optional[str] = config_option()
    db_path: Optional[str] = db_option()
    class_name: str = option("--name", required=True, metavar="NAME", help="class to search in")
    max_dist: float = option(
        "--dist", default=0.5, metavar="DISTANCE", help="largest distance, 1 - cosine (default: 0.5)"
    )
    exp: float = option(
        "--exp",
        default=0.5,
        metavar="EXPONENT",
        help="for the eye: below 1 shows faint sounds (default: 0.5)",
    )
    num_to_plot: int = option("--num", default=200, metavar="N", help="most segments (default: 200)")
    output_path: str = option("-o", "--output", required=True, metavar="DIR", help="directory of the results")
    input_path: str = option("-i", "--input", required=True, metavar="FILE", help="recording")
    offset: str = option(
        "--offset",
        default="0",
        metavar="SECONDS",
        help="where its segment begins; several with commas between (default: 0)",
    )
    exclude_db: Optional[str] = option(
        "-x", "--exclude", metavar="DB", help="leave out what this second database has"
    )
    class_name2: Optional[str] = option(
        "--name2", metavar="NAME", help="class in the second database (default: that of --name)"
    )
    spec_group: str = option(
        "--sgroup", default="default", metavar="NAME", help="spectrogram group (default: default)"
    )
    show_dims: bool = option("--dims", default=False, help="draw axes")


def search(
    cfg_path: Optional[str] = None,
    db_path: Optional[str] = None,
    class_name: str = "",
    max_dist: float = 0.5,
    exp: float = 0.5,
    num_to_plot: int = 200,
    output_path: str = "",
    input_path: str = "",
    offset: object = "0",
    exclude_db: Optional[str] = None,
    class_name2: Optional[str] = None,
    spec_group: str = "default",
    show_dims: bool = False,
) -> int:
    """Find the stored segments most like some of a recording; return how many were found.

    ``offset`` is a number of seconds, a list of them, or text with commas between.
    """
    from britekit.annotations.tables import parse_number
    from britekit.commands._pictures import checked_output
    from britekit.database.session import open_database
    from britekit.errors import InputError
    from britekit.inference.embedding import open_search_model
    from britekit.inference.search import present_in, read_targets, search_class, write_results

    output = checked_output(output_path)
    if not 0 <= max_dist <= 2:
        raise InputError(f"--dist is {max_dist:g}; expected a distance from 0 to 2")
    if class_name2 and exclude_db is None:
        raise InputError(
            "--name2 is the class in the database of --exclude; give that too, or leave both out"
        )
    if num_to_plot < 1:
        raise InputError(f"--num is {num_to_plot}; expected 1 or more")
    if not 0 < exp < float("inf"):
        raise InputError(f"--exp is {exp:g}; expected a number above 0")
    given = offset.split(",") if isinstance(offset, str) else offset
    try:
        offsets = [parse_number(str(part)) for part in (given if isinstance(given, list) else [given])]
    except ValueError as error:
        raise InputError(f'--offset "{error}" is not a number of seconds') from None
    model = open_search_model(cfg_path)
    targets = read_targets(input_path, offsets, model)
    excluded = None
    if exclude_db is not None:
        with open_database(exclude_db) as other:
            excluded = present_in(other, class_name2 or class_name)
    with open_database(db_path or model.cfg.train.train_db) as session:
        hits = search_class(session, model, class_name, targets, max_dist, num_to_plot, spec_group, excluded)
        title = f"{class_name}: {len(hits)} segments like {', '.join(map(str, targets))}"
        sheets = write_results(session, model, targets, hits, output, show_dims, exp, title)
    print(f"found = {len(hits)}")
    if hits:
        print(f"nearest = {hits[0].distance:.3f}")
    for page in sheets:
        print(f"sheet = {page}")
    return len(hits)
