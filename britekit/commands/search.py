"""Find the stored segments of a class that look most like a segment of a recording.

Writes a picture of each match, a contact sheet, and results.csv. Requires embeddings (see embed). With
several offsets, each segment is compared with the nearest of them. (find searches an archive of recordings.)

    britekit search --name Ovenbird -i unknown.wav --offset 12.5,40 -o results/search
"""

from typing import Annotated, Optional

from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import ConfigPath, DbPath, SpecGroup, TimeExpansion, opt


@takes_time_expansion
def search(
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    class_name: Annotated[str, opt("--name", required=True, metavar="NAME", help="class to search in")] = "",
    max_dist: Annotated[
        float, opt("--dist", metavar="DISTANCE", help="largest distance, 1 - cosine (default: 0.5)")
    ] = 0.5,
    exp: Annotated[
        float, opt("--exp", metavar="EXPONENT", help="display exponent; below 1 shows faint sounds (default: 0.5)")
    ] = 0.5,
    num_to_plot: Annotated[int, opt("--num", metavar="N", help="maximum number of segments (default: 200)")] = 200,
    output_path: Annotated[
        str, opt("-o", "--output", required=True, metavar="DIR", help="directory of the results")
    ] = "",
    input_path: Annotated[str, opt("-i", "--input", required=True, metavar="FILE", help="recording")] = "",
    offset: Annotated[
        object,
        opt(
            "--offset",
            metavar="SECONDS",
            help="start of its segment; separate several with commas (default: 0)",
            type=str,
        ),
    ] = "0",
    exclude_db: Annotated[
        Optional[str],
        opt("-x", "--exclude", metavar="DB", help="exclude segments that are also in this second database"),
    ] = None,
    class_name2: Annotated[
        Optional[str], opt("--name2", metavar="NAME", help="class in the second database (default: that of --name)")
    ] = None,
    spec_group: SpecGroup = "default",
    show_dims: Annotated[bool, opt("--dims", help="draw axes")] = False,
    time_expansion: TimeExpansion = None,
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
        raise InputError("--name2 is the class in the database of --exclude; give that too, or leave both out")
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
