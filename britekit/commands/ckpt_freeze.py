"""Strip the training state from checkpoints.

The result contains the weights and all information about the model, in a third of the size. It is written and
checked first; the old file is then renamed to NAME.ckpt.original. Files that already have such an original
are skipped.

    britekit ckpt-freeze -i logs/version_3/checkpoints
"""

from pathlib import Path

from britekit.options import Checkpoints


def ckpt_freeze(input_path: Checkpoints = "") -> list[str]:
    """Freeze a checkpoint or all of a directory; return the paths of those frozen."""
    from britekit.commands._checkpoints import each_checkpoint, find_checkpoints
    from britekit.models.freezing import ORIGINAL, freeze_checkpoint

    frozen: list[str] = []

    def freeze(path: Path) -> None:
        before = path.stat().st_size
        outcome = freeze_checkpoint(path)
        if outcome == "frozen":
            print(f"{path}: {before:,} bytes became {path.stat().st_size:,}")
            frozen.append(str(path))
        elif outcome == "original exists":
            print(f"{path}: skipped, {path.name}{ORIGINAL} exists already")
        else:
            print(f"{path}: skipped, it contains no state of training")

    each_checkpoint(find_checkpoints(input_path), freeze)
    print(f"frozen = {len(frozen)}")
    return frozen
