"""Average the weights of checkpoints.

All checkpoints of a directory, usually the last epochs of a training run, become one. The result is often
slightly better than each of them and costs no more at inference. They must have the same network and class
list.

    britekit ckpt-avg -i logs/version_3/checkpoints -o models/ckpt/average.ckpt
"""

from typing import Annotated, Optional

from britekit.options import opt


def ckpt_avg(
    input_path: Annotated[
        str, opt("-i", "--input", metavar="DIR", required=True, help="directory of checkpoints")
    ] = "",
    output_path: Annotated[
        Optional[str],
        opt("-o", "--output", metavar="FILE", help="file to write (default: average.ckpt in that directory)"),
    ] = None,
) -> str:
    """Average the checkpoints of a directory, without an earlier average at the output; return its path."""
    from pathlib import Path

    from britekit.errors import InputError

    folder = Path(input_path)
    if not input_path or not folder.is_dir():
        raise InputError(f'"{input_path}" is not a directory; name the directory of the checkpoints with -i')
    output = folder / "average.ckpt" if output_path is None else Path(output_path)
    if output.suffix != ".ckpt":
        raise InputError(f"{output} is not the name of a checkpoint; expected one that ends in .ckpt")
    every = sorted(folder.glob("*.ckpt"))
    paths = [path for path in every if path.resolve() != output.resolve()]
    if len(paths) < 2:
        raise InputError(f"{folder} holds {len(paths)} checkpoints (*.ckpt) to average; two are needed")

    from britekit.models.averaging import average_checkpoints, is_average

    if len(paths) < len(every) and not is_average(output):
        raise InputError(f"{output} is one of the {len(every)} checkpoints to average; give another name to write to")
    average_checkpoints(paths, output)
    print(f"averaged = {len(paths)}")
    print(f"checkpoint = {output}")
    return str(output)
