"""Compare two tests of the same recordings, to see whether B is better than A.

A and B are Git revisions, DVC experiments, `workspace`, or folders written by rpt-test. Prints each figure of
both with the difference and its 95 % interval, from resampling the same recordings for both; then the PR-AUC
of each class; then a one-line verdict.

    britekit compare HEAD workspace
    britekit compare main brave-owl
"""

from typing import Annotated

from britekit.options import opt


def compare(
    first: Annotated[str, opt("first", metavar="A", help="revision, experiment or folder to compare with")],
    second: Annotated[
        str, opt("second", type=str, nargs="?", metavar="B", help="the other one (default: workspace)")
    ] = "workspace",
) -> str:
    """Compare two tests of the same recordings; return the verdict."""
    import math
    from contextlib import ExitStack

    from britekit.evaluation.compare import CELLS_NAME, compare_tests, read_cells
    from britekit.tracking.dvc import results_file

    with ExitStack() as stack:
        old, new = (read_cells(stack.enter_context(results_file(name, CELLS_NAME))) for name in (first, second))
        found = compare_tests(old, new)
    print(f"A = {first}\nB = {second}\nrecordings = {found.recordings}")
    for sentence in found.exclusions:
        print(sentence)
    head = f"{'':<26}{'A':>8}{'B':>8}{'B - A':>9}   95 % interval"
    for title, rows in (("", found.figures), ("PR-AUC of", found.classes)):
        print(f"\n{title or 'figure':<26}{head[26:]}")
        for row in rows:
            low, high = row.difference.low, row.difference.high
            interval = "" if math.isnan(low) else f"   {low:+.3f} to {high:+.3f}"
            name = row.name.removeprefix("class ")
            values = (f"{row.first:.3f}", f"{row.second:.3f}", f"{row.difference.value:+.3f}")
            first_shown, second_shown, change = ("-" if "nan" in text else text for text in values)
            print(f"{name:<26}{first_shown:>8}{second_shown:>8}{change:>9}{interval}")
    print(f"\nverdict = {found.verdict()}")
    return found.verdict()
