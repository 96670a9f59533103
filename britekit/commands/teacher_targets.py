"""Score the spectrograms of a training file with an ensemble, as targets for a smaller network.

The targets are the mean probabilities of the checkpoints, not calibrated, of segments and, if all teachers have
frames, of these. The file names the training file and the checkpoints by the hash of their content. Train with it:
train --teacher-targets FILE.

    britekit teacher-targets data/training.pkl --checkpoints models/ckpt -o data/targets.pkl
    britekit train -c yaml/student.yaml --teacher-targets data/targets.pkl
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, opt


def teacher_targets(
    train_pickle_path: Annotated[
        str, opt("train_pickle_path", metavar="TRAIN_PICKLE", help="training file that pickle wrote")
    ],
    checkpoint_path: Annotated[
        str, opt("--checkpoints", metavar="PATH", required=True, help="checkpoint or directory of them")
    ] = "",
    output_path: Annotated[str, opt("-o", "--output", metavar="FILE", required=True, help="file to write")] = "",
    cfg_path: ConfigPath = None,
    batch_size: Annotated[
        int, opt("--batch-size", metavar="N", help="spectrograms scored at once (default: 256)")
    ] = 256,
    device: Annotated[
        Optional[str],
        opt("--device", choices=("cpu", "cuda", "mps"), help="cpu, cuda or mps (default: the best there is)"),
    ] = None,
) -> int:
    """Write targets of teachers; return the number of spectrograms scored."""
    from britekit.commands._checkpoints import find_checkpoints
    from britekit.config import resolve
    from britekit.datasets.teacher_targets import write_teacher_targets
    from britekit.errors import InputError
    from britekit.files import refuse_overwriting

    cfg = resolve(cfg_path)
    if not output_path:
        raise InputError("name the file to write with -o")
    checkpoints = find_checkpoints(checkpoint_path, "--checkpoints")
    refuse_overwriting(output_path, train_pickle_path, cfg_path, *map(str, checkpoints))
    from britekit.training.teachers import score_with_teachers

    targets = score_with_teachers(train_pickle_path, checkpoints, cfg, batch_size, device)
    write_teacher_targets(output_path, targets)
    print(f"teachers = {len(checkpoints)}")
    print(f"spectrograms = {len(targets.probabilities)}")
    print(f"frames = {0 if targets.frames is None else targets.frames.shape[2]}")
    print(f"written = {output_path}")
    return len(targets.probabilities)
