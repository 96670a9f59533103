"""Label windows of unlabeled recordings by the scores of a teacher, for a student to learn from.

The teacher is the ensemble of misc.ckpt_folder; in round N of the pipeline, the members of round N - 1. Its scores are
raised to a power, which lowers uncertain ones most. Each window is kept, or drawn by its highest score if there are too
many; windows without a call stay among them. `train` adds them to every batch (train.pseudo_labels).

Recordings that are tested, or of the group of a tested one, are refused, also when they have another name. A killed
run continues where it stopped.

    britekit pseudo-label -i data/unlabelled -o data/pseudo.npz
    britekit train -c yaml/student.yaml --seed 1 --pseudo-labels data/pseudo.npz
"""

from typing import Annotated, Any, Optional

from britekit.options import (
    Address,
    CkptPath,
    ConfigPath,
    Engine,
    TestDir,
    Threads,
    UnlabeledDir,
    WindowOverlap,
    is_on_ray,
    opt,
)


def pseudo_label(
    cfg_path: ConfigPath = None,
    input_path: UnlabeledDir = "data/unlabelled",
    output_path: Annotated[
        Optional[str],
        opt("-o", "--output", metavar="FILE", help="the file (default: with --round data/pseudo/round-N.npz)"),
    ] = None,
    ckpt_path: CkptPath = None,
    power: Annotated[
        Optional[float], opt("--power", help="exponent on the scores, above 0 (default: pipeline.pseudo_power)")
    ] = None,
    num: Annotated[
        Optional[int], opt("--num", metavar="N", help="most windows (default: pipeline.pseudo_windows)")
    ] = None,
    test_path: TestDir = None,
    overlap: WindowOverlap = None,
    num_threads: Threads = None,
    number: Annotated[
        Optional[int], opt("--round", metavar="N", help="a round of the pipeline: its teacher and its file")
    ] = None,
    engine: Engine = "local",
    address: Address = None,
) -> Any:
    """Label windows of unlabeled recordings; see `britekit.archive.pseudo_labeling`.

    Returns
    -------
    Outcome
        Recordings, windows, and what was refused or failed.

    Raises
    ------
    InputError
        No recording is left.
    InferenceError
        Some recordings could not be used; the file holds the others.
    """
    from contextlib import nullcontext
    from pathlib import Path

    from britekit.annotations.classes import read_classes
    from britekit.archive.pseudo_labeling import Recipe, pseudo_label
    from britekit.collect.admission import find_unlabelled
    from britekit.collect.test_recordings import TestRecordings
    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.inference.cluster import RayScorer
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.model_files import member_paths, resolve_for_models
    from britekit.tracking.lineage import MEMBER, PSEUDO_LABELS, RECORDINGS
    from britekit.tracking.run import stage_run

    overrides = {
        "pipeline.pseudo_power": power,
        "pipeline.pseudo_windows": num,
        "infer.overlap": overlap,
        "infer.num_threads": num_threads,
    }
    on_ray = is_on_ray(engine, address)
    student = resolve(cfg_path, overrides)
    if number is not None and number < 1:
        raise InputError(f"--round is {number}; rounds are numbered from 1")
    if number is not None and ckpt_path is not None:
        raise InputError("--round names the teacher; leave out --ckpt, or --round")
    if output_path is None and number is None:
        raise InputError("no output: give -o FILE, or --round N")
    output = Path(output_path or f"data/pseudo/round-{number}.npz")
    if output.suffix != ".npz":
        raise InputError(f"-o {output}: the file is an npz archive; give it a name that ends in .npz")
    paths = find_unlabelled(input_path)
    if number is not None:
        teacher = resolve(cfg_path)
        teacher.pipeline.rounds = number - 1
        members = member_paths(teacher)
    else:
        members = member_paths(student, ckpt_path)
    # The teacher keeps the spectrograms that it was trained with; its student may look at others.
    cfg, _ = resolve_for_models(ckpt_path=members[0], cfg=student)
    test_dir = Path(test_path or Path(student.pipeline.test_annotations).parent)
    if test_path is not None and not test_dir.is_dir():
        raise InputError(f"--test {test_dir} is not a folder; expected the recordings that are tested")
    inputs = dict.fromkeys(map(str, members), MEMBER) | {input_path: RECORDINGS}
    with stage_run("pseudo-label", student, inputs, continues=True) as run:
        ensemble = load_ensemble(cfg, members)
        classes_file = Path(student.misc.classes_file)
        classes = read_classes(classes_file) if classes_file.is_file() else ensemble.classes
        with RayScorer(cfg, members, 0.0, address, ensemble) if on_ray else nullcontext() as cluster:
            outcome = pseudo_label(
                student,
                ensemble,
                classes,
                str(classes_file),
                paths,
                Path(input_path),
                TestRecordings((), test_dir, student.misc.group_regex),
                output,
                Recipe(student.pipeline.pseudo_power, student.pipeline.pseudo_windows),
                cluster,
            )
        figures = {"recordings": outcome.recordings, "windows": outcome.windows, "kept": outcome.kept}
        run.summary(figures | {f"labels/{name}": value for name, value in outcome.per_class.items()})
        run.output(output, PSEUDO_LABELS)
    for member in ensemble.members:
        print(f"teacher = {member.path}")
    print(f"recordings = {outcome.recordings}")
    if outcome.continued:
        print(f"recordings_of_the_interrupted_run = {outcome.continued}")
    for name, count in (("failed", len(outcome.failed)), ("damaged", outcome.damaged)):
        if count:
            print(f"{name} = {count}")
    if outcome.refused:
        print(f"refused = {sum(map(len, outcome.refused.values()))}")
    print(f"windows = {outcome.windows}")
    print(f"kept = {outcome.kept}, {outcome.no_call} of them without a sure call; labels of each class:")
    for name, value in outcome.per_class.items():
        print(f"  {name} = {value:.1f}")
    print(f"file = {output}")
    outcome.raise_for_failures()
    return outcome
