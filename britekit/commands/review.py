"""Verify detections in the browser, one after another.

Serves a page on this machine (127.0.0.1, with a token in its address) that plays and shows each detection
with a few seconds on either side; one key answers yes, no or unsure. Each verdict is saved to
data/verdicts.csv immediately, so an interrupted review can be continued. --queue selects the detections and
their order: strata (the same number from each score range; use it to estimate precision), random, top,
presence, uncertain, different, hours, site-day, all, learn; or a CSV file with recording,start,end,name,score.

learn chooses what a classifier on an archive's embeddings learns most from, and fits it again after every few
verdicts; it goes on until nothing is left, so stop when you like. Without -l it asks about the windows of the
archive, with the classes of --name or data/classes.csv; name whatever else is heard under "others".

    britekit review -i recordings -l results/labels --queue strata --num 60
    britekit review -i recordings --queue learn --archive archives/2026 --name Wren,Owl
"""

from typing import Annotated, Optional

from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import ClassNames, LowestScore, TimeExpansion, opt


@takes_time_expansion
def review(
    input_path: Annotated[
        str,
        opt("-i", "--input", required=True, metavar="DIR", help="recordings: a file, or a folder with its subfolders"),
    ] = "",
    label_dir: Annotated[
        Optional[str], opt("-l", "--labels", metavar="DIR", help="output of analyze, or labels of another program")
    ] = None,
    queue: Annotated[
        str,
        opt(
            "--queue",
            metavar="NAME",
            help="detections to review and their order: a name or a CSV file (default: strata)",
        ),
    ] = "strata",
    num: Annotated[Optional[int], opt("--num", metavar="N", help="number of detections per class (default: 60)")] = 60,
    name: ClassNames = None,
    min_score: LowestScore = 0.0,
    seed: Annotated[int, opt("--seed", metavar="N", help="seed of the random sample (default: 0)")] = 0,
    verdicts: Annotated[
        str, opt("--verdicts", metavar="FILE", help="file for the verdicts (default: data/verdicts.csv)")
    ] = "data/verdicts.csv",
    reviewer: Annotated[
        Optional[str], opt("--reviewer", metavar="NAME", help="name of the reviewer (default: your user name)")
    ] = None,
    blind: Annotated[bool, opt("--blind", help="judge again without seeing the verdicts of others")] = False,
    port: Annotated[int, opt("--port", metavar="N", help="port of the page (default: a free one)")] = 0,
    archive: Annotated[
        Optional[str],
        opt("--archive", metavar="DIR", help="embeddings of the recordings, for the queues different and learn"),
    ] = None,
    every: Annotated[
        int, opt("--every", metavar="N", help="queue learn: verdicts after which it learns again (default: 10)")
    ] = 10,
    dry_run: Annotated[bool, opt("--dry-run", help="only print the number of detections")] = False,
    time_expansion: TimeExpansion = None,
) -> None:
    """Judge detections in the browser, one after the other."""
    import secrets

    from britekit.errors import InputError
    from britekit.results.review_queue import build_review
    from britekit.service.review import listen, serve_review

    if not input_path:
        raise InputError("the folder of recordings is needed; give it with -i")
    words = [word.strip() for word in (name or "").split(",") if word.strip()]
    listener = None if dry_run else listen(port)
    try:
        session, recordings = build_review(
            input_path, label_dir, queue, num, words, min_score, seed, verdicts, reviewer, blind, archive, every
        )
        progress = session.progress()
        print(f"queue = {session.queue}")
        print(f"reviewer = {session.reviewer}")
        print(f"detections = {progress['items']}")
        print(f"left = {progress['left']} (about {progress['minutes_left']:g} minutes)")
        if listener is None:
            return
        token = secrets.token_urlsafe(24)
        print(f"url = http://127.0.0.1:{listener.getsockname()[1]}/?token={token}", flush=True)
        serve_review(session, recordings, token, listener)
    finally:
        if listener is not None:
            listener.close()
