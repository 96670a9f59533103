"""List the networks with their parameters and multiply-adds.

These are counted for the configured spectrogram size (audio.spec_height, audio.spec_width). --time also
measures the speed on this machine: spectrograms per second in inference, and in training without optimizer
and data loading. A name such as timm.mobilenetv3_small_100 adds that network to the list; separate several by
commas.

    britekit models
    britekit models --model effnet.2,vovnet.4,timm.mobilenetv3_small_100 --time
    britekit models --head basic_sed --csv models.csv
"""

from typing import Annotated, Any, Optional

from britekit.options import ConfigPath, opt


def models(
    cfg_path: ConfigPath = None,
    csv_path: Annotated[
        Optional[str],
        opt("--csv", metavar="FILE", help="write model, parameters, gmacs to this file; - is standard output"),
    ] = None,
    head: Annotated[
        Optional[str],
        opt("--head", metavar="NAME", help="head (default: each family's own; train.head_type is ignored)"),
    ] = None,
    classes: Annotated[int, opt("--classes", metavar="N", help="classes (default: 50)")] = 50,
    time: Annotated[bool, opt("--time", help="measure speed on this machine")] = False,
    model: Annotated[
        Optional[str], opt("--model", metavar="NAMES", help="only these, separated by commas (default: all but timm's)")
    ] = None,
) -> list[dict[str, Any]]:
    """List networks; return one dict per network with model, parameters, gmacs and the speeds asked for."""
    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.files import refuse_overwriting, write_text
    from britekit.models.options import Blueprint
    from britekit.models.recognizer import frame_count

    refuse_overwriting(csv_path, cfg_path)
    cfg = resolve(cfg_path)
    if classes < 1:
        raise InputError(f"--classes {classes}: expected at least one class")
    blueprint = Blueprint(
        model_type="",
        head_type=head,
        num_classes=classes,
        height=cfg.audio.spec_height,
        width=cfg.audio.spec_width,
        frames=frame_count(cfg.train.sed_fps, cfg.audio.spec_duration),
        hidden_channels=cfg.train.hidden_channels,
        lse_temp=cfg.train.lse_temp,
        two_way=cfg.train.two_way,
    )
    rows = _rows(blueprint, _names(model), time, cfg.misc.force_cpu)
    if csv_path == "-":
        print(_csv(rows), end="")
        return rows
    if csv_path is not None:
        write_text(csv_path, _csv(rows))
    _print(rows, blueprint.height, blueprint.width)
    return rows


def _names(given: Optional[str]) -> list[str]:
    from britekit.errors import InputError
    from britekit.models.cost import model_names
    from britekit.models.registry import find_backbone

    if given is None:
        return model_names()
    names = list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    if not names:
        raise InputError("--model is empty; name models as effnet.2 or timm.mobilenetv3_small_100")
    for name in names:
        find_backbone(name)
    return names


def _rows(blueprint: Any, names: list[str], time: bool, force_cpu: bool) -> list[dict[str, Any]]:
    from dataclasses import replace

    from britekit.models.cost import compute_cost
    from britekit.models.timing import measure_speed
    from britekit.progress import track
    from britekit.training.devices import choose_device, memory_format

    device = choose_device(force_cpu)
    rows: list[dict[str, Any]] = []
    for name in track(names, what="models"):
        this = replace(blueprint, model_type=name)
        cost = compute_cost(this)
        row: dict[str, Any] = {"model": name, "parameters": cost.parameters, "gmacs": round(cost.gmacs, 4)}
        if time:
            forward, training = measure_speed(this, device, memory_format(device))
            row |= {"forward_per_second": round(forward, 1), "training_per_second": round(training, 1)}
        rows.append(row)
    return rows


def _csv(rows: list[dict[str, Any]]) -> str:
    lines = [",".join(rows[0])]
    lines += [",".join(str(value) for value in row.values()) for row in rows]
    return "\n".join(lines) + "\n"


def _print(rows: list[dict[str, Any]], height: int, width: int) -> None:
    from britekit.commands._table import table_lines, terminal_width

    heading = {
        "model": "model",
        "parameters": "parameters",
        "gmacs": "gmacs",
        "forward_per_second": "forward/s",
        "training_per_second": "training/s",
    }
    cells = [[f"{v:,}" if k == "parameters" else str(v) for k, v in row.items()] for row in rows]
    right = range(1, len(rows[0]))
    for line in table_lines([heading[key] for key in rows[0]], cells, terminal_width(), list(right)):
        print(line)
    print(f"gmacs: billions of multiply-adds for one spectrogram of {height} x {width}")
