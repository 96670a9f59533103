"""Write detections as Camtrap DP, Darwin Core or AOEF.

From the output of analyze and the times and sites of the recordings (data/deployments.csv, metadata, file names):
Camtrap DP (datapackage.json, deployments.csv, media.csv, observations.csv), Darwin Core (occurrence.csv, event.csv)
or AOEF for whombat and soundevent (detections.json). Recordings without a detection are kept as effort. Recordings
that the standard cannot hold, since it requires what is not known, are listed in not_exported.csv, with exit code 1.

    britekit export -i recordings -l results/labels -o camtrap --format camtrap-dp --verdicts data/verdicts.csv
"""

from typing import Annotated, Any, Optional

from britekit.options import AnyLabels, opt


def export(
    input_path: Annotated[
        str, opt("-i", "--input", required=True, metavar="DIR", help="recordings, for their times and sites")
    ] = "",
    label_dir: AnyLabels = "",
    output_path: Annotated[
        str, opt("-o", "--output", required=True, metavar="DIR", help="directory of the files that are written")
    ] = "",
    standard: Annotated[
        str, opt("--format", required=True, metavar="NAME", help="aoef, camtrap-dp or darwin-core")
    ] = "",
    deployments_path: Annotated[
        str, opt("--deployments", metavar="FILE", help="where recorders stood (default: data/deployments.csv)")
    ] = "data/deployments.csv",
    verdicts: Annotated[
        Optional[str],
        opt(
            "--verdicts",
            metavar="FILE",
            help="what reviewers said; rejected detections are left out, confirmed ones marked",
        ),
    ] = None,
    classes_path: Annotated[
        str,
        opt("--classes", metavar="FILE", help="class list; AltName is the scientific name (default: data/classes.csv)"),
    ] = "data/classes.csv",
    min_score: Annotated[
        float, opt("-m", "--min-score", metavar="SCORE", help="detections of at least this (default: 0)")
    ] = 0.0,
    name: Annotated[
        Optional[str], opt("--name", metavar="LIST", help="only these labels, separated by commas (default: all)")
    ] = None,
) -> Any:
    """Write detections as Camtrap DP, Darwin Core or AOEF.

    Returns
    -------
    britekit.exchange.Dataset
        What was written.

    Raises
    ------
    InputError
        Something cannot be read or written; or, after all others were written, recordings that could not be.
    """
    from britekit.errors import InputError
    from britekit.exchange import export_detections, raise_for_missing

    if not (input_path and label_dir and output_path and standard):
        raise InputError("recordings, labels, output directory and format are all needed")
    only = [word.strip() for word in (name or "").split(",") if word.strip()]
    found = export_detections(
        input_path, label_dir, output_path, standard, deployments_path, verdicts, classes_path, min_score, only
    )
    print(f"recordings = {len(found.recordings)}")
    detections, confirmed = found.count()
    print(f"detections = {detections}")
    print(f"confirmed = {confirmed}")
    for note in found.notes:
        print(f"Note: {note}")
    raise_for_missing(found, output_path)
    return found
