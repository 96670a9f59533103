"""Train a classifier on the embeddings of an archive, in seconds.

Fits logistic regression and prototypes on the windows of annotated recordings, chooses by cross-validation
that keeps recordings (and groups of them, misc.group_regex) whole, and calibrates. The result is a member
like any other: a checkpoint with the archive's model as its backbone, and its export; or, if the archive was
made with a file of another project, a .probe file with that in it. Put it into a folder of its own, and name
that with analyze --ckpt or misc.ckpt_folder.

In annotations everything is named that is heard. --verdicts takes what was judged in a review instead (as by review
--queue learn): each verdict is about one class in one window, and other classes count as absent only with a third of
the weight. The figures are then about windows that were chosen to be hard, so they are lower than those of all sound.

    britekit probe --archive archives/2026 -a annotations.csv -o models/probe/probe.ckpt
    britekit probe --archive archives/2026 --verdicts data/verdicts.csv -o models/probe/probe.ckpt
"""

from typing import Annotated, Any, Optional

from britekit.options import ArchiveDir, ArchiveModel, ConfigPath, opt


def probe(
    cfg_path: ConfigPath = None,
    archive: ArchiveDir = "",
    annotations_path: Annotated[
        Optional[str],
        opt(
            "-a",
            "--annotations",
            metavar="PATH",
            help="annotations of recordings in the archive: CSV, Audacity labels, a Raven table, or a folder of these",
        ),
    ] = None,
    verdicts: Annotated[
        Optional[str], opt("--verdicts", metavar="FILE", help="verdicts of review instead of annotations")
    ] = None,
    output_path: Annotated[
        str, opt("-o", "--output", required=True, metavar="FILE", help="the member: NAME.ckpt or NAME.probe")
    ] = "",
    model: ArchiveModel = None,
) -> Any:
    """Train a classifier on the embeddings of an archive.

    Returns
    -------
    britekit.archive.probe.Probe
        What was fitted, and its figures.

    Raises
    ------
    InputError
        The annotations do not suffice, or cannot be read.
    """
    import time
    from pathlib import Path

    import numpy as np

    from britekit.archive.judged_windows import read_judged
    from britekit.archive.labeled import read_labeled
    from britekit.archive.members import check_member_path, write_member
    from britekit.archive.opening import open_model
    from britekit.archive.probe import fit_probe
    from britekit.archive.store import Archive
    from britekit.errors import InputError
    from britekit.files import refuse_overwriting

    if not output_path:
        raise InputError("the file of the probe is needed: name it with -o")
    if (annotations_path is None) == (verdicts is None):
        raise InputError("a probe learns from annotations or from verdicts: give either -a or --verdicts")
    output = Path(output_path)
    stored = Archive(archive)
    check_member_path(stored, output)
    refuse_overwriting(output, annotations_path, verdicts, stored.model, model)
    embedder = open_model(archive, model, cfg_path)
    began = time.monotonic()
    if verdicts is not None:
        data = read_judged(stored, verdicts, embedder.cfg)
    else:
        assert annotations_path is not None
        data = read_labeled(stored, annotations_path, embedder.audio.spec_duration, embedder.cfg)
    found = fit_probe(data)
    seconds = time.monotonic() - began
    files = write_member(stored, embedder.path, found.classifier, data.classes, len(data.vectors_NF), output)
    print(f"recordings = {len(data.recordings)}")
    print(f"windows = {len(data.vectors_NF)}")
    for name, value in found.tried.items():
        print(f"{name}: macro_pr = {value:.4f}{' (chosen)' if name == found.method else ''}")
    rows = zip(data.classes, data.truth_NC.sum(axis=0), found.pr_auc_C, found.roc_auc_C, strict=True)
    for info, positives, pr, roc in rows:
        areas = "not checked, see above" if np.isnan(pr) else f"pr_auc {pr:.4f}, roc_auc {roc:.4f}"
        print(f"{info.name} = {positives} windows, {areas}")
    print(f"ece_before = {found.error_before:.4f}")
    print(f"ece_after = {found.error_after:.4f}")
    if embedder.licence:
        print(f"licence = {embedder.licence}")
    print(f"seconds = {seconds:.1f}")
    for file in files:
        print(f"member = {file}")
    return found
