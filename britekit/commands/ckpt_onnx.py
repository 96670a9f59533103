"""Convert checkpoints to ONNX files, which run on a CPU without PyTorch.

Writes NAME.onnx beside NAME.ckpt. It accepts any number of windows, contains classes and settings, and is
compared with the checkpoint before it is written.

    britekit ckpt-onnx -i models/ckpt
"""

from pathlib import Path

from britekit.options import Checkpoints, ConfigPath


def ckpt_onnx(cfg_path: ConfigPath = None, input_path: Checkpoints = "") -> list[str]:
    """Convert a checkpoint or all of a directory; see `britekit.inference.export.export_onnx`.

    Returns
    -------
    list of str
        The files written.
    """
    from britekit.commands._checkpoints import each_checkpoint, find_checkpoints
    from britekit.config import resolve

    found = find_checkpoints(input_path)
    if cfg_path is not None:
        resolve(cfg_path)

    from britekit.inference.export import export_onnx
    from britekit.models.checkpoint import load_checkpoint

    written: list[str] = []

    def convert(path: Path) -> None:
        target = path.with_suffix(".onnx")
        difference = export_onnx(load_checkpoint(path), target)
        print(f"{target}: largest difference of a logit from PyTorch = {difference:.2g}")
        written.append(str(target))

    each_checkpoint(found, convert)
    return written
