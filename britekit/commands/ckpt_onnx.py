"""Convert checkpoints to ONNX files, which score on a CPU without PyTorch.

Writes NAME.onnx beside NAME.ckpt. It takes any number of windows at once, carries classes and settings, and
is checked against the checkpoint before it is written.

    britekit ckpt-onnx -i models/ckpt
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, option


@dataclass(kw_only=True)
class Options:
    cfg_path: Optional[str] = config_option()
    input_path: str = option(
        "-i", "--input", metavar="PATH", required=True, help="checkpoint or directory of checkpoints"
    )


def ckpt_onnx(cfg_path: Optional[str] = None, input_path: str = "") -> list[str]:
    """Convert a checkpoint or all of a directory; see `britekit.inference.export.export_onnx`.

    Parameters
    ----------
    cfg_path
        Only checked: everything an export needs is in its checkpoint.
    input_path
        Checkpoint or directory.

    Returns
    -------
    list of str
        The files written.
    """
    from pathlib import Path

    from britekit.config import resolve
    from britekit.errors import InputError

    source = Path(input_path)
    if not input_path or not source.exists():
        raise InputError(
            f'"{input_path}" does not exist; name a checkpoint or a directory of checkpoints with -i'
        )
    found = [source] if source.is_file() else sorted(source.glob("*.ckpt"))
    if not found:
        raise InputError(f"{source} holds no checkpoints (*.ckpt); name one or another directory")
    if source.is_file() and source.suffix != ".ckpt":
        raise InputError(f"{source} is not a checkpoint; expected a name that ends in .ckpt")
    if cfg_path is not None:
        resolve(cfg_path)

    from britekit.inference.export import export_onnx
    from britekit.models.checkpoint import load_checkpoint

    written = []
    for path in found:
        target = path.with_suffix(".onnx")
        difference = export_onnx(load_checkpoint(path), target)
        print(f"{target}: largest difference of a logit from PyTorch = {difference:.2g}")
        written.append(str(target))
    return written
