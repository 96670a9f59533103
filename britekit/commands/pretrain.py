"""Pre-train the network on recordings without labels.

The backbone of train.model_type learns to fill in hidden patches of spectrograms (SimMIM). Training then starts from
the checkpoint (train.load_ckpt_path), with any classes; the audio settings must be the same. At most
pretrain.max_windows windows are drawn, evenly from all recordings; their spectrograms are kept on disk, below
logs/pretrain, until the command has ended.

Recordings that are tested, or of the group of a tested one, are refused, also when they have another name. A killed
run continues where it stopped when the command is repeated. The loss is written beside the checkpoint, as a table and a
picture, and to TensorBoard's events in logs/pretrain.

    britekit pretrain -i data/unlabelled -o models/backbone.ckpt
    britekit pretrain -c yaml/base_config.yaml -i ../archive -o models/backbone.ckpt --steps 5000 --seed 2
"""

from typing import Annotated, Any, Optional

from britekit.options import ConfigPath, TestDir, UnlabeledDir, opt


def pretrain(
    cfg_path: ConfigPath = None,
    input_path: UnlabeledDir = "data/unlabelled",
    output_path: Annotated[
        str, opt("-o", "--output", metavar="CKPT", help="the checkpoint (default models/backbone.ckpt)")
    ] = "models/backbone.ckpt",
    steps: Annotated[
        Optional[int], opt("--steps", metavar="N", help="training steps (default: pretrain.num_steps)")
    ] = None,
    seed: Annotated[
        Optional[int], opt("--seed", metavar="INT", help="seed of all generators (default: pretrain.seed)")
    ] = None,
    test_path: TestDir = None,
    curve: Annotated[
        Optional[str],
        opt(
            "--curve", metavar="FILE", help="table of the loss; the picture lies beside it (default: CKPT's name, .csv)"
        ),
    ] = None,
) -> Any:
    """Pre-train a network; see `britekit.pretraining.run.pretrain`.

    Returns
    -------
    PretrainResult
        Recordings and windows, those left out, and the loss.

    Raises
    ------
    InputError
        No recording is left, or their windows are too few.
    InferenceError
        Some recordings could not be read; the checkpoint learned from the others.
    """
    from pathlib import Path

    from britekit.collect.admission import find_unlabelled
    from britekit.collect.test_recordings import TestRecordings
    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.files import write_csv
    from britekit.tracking.facts import is_dvc_stage, main_root
    from britekit.tracking.lineage import MEMBER, RECORDINGS
    from britekit.tracking.run import stage_run

    cfg = resolve(cfg_path, {"pretrain.num_steps": steps, "pretrain.seed": seed})
    output = Path(output_path)
    table = Path(curve) if curve is not None else output.with_suffix(".csv")
    if output.suffix != ".ckpt":
        raise InputError(f"-o {output}: the file is a checkpoint; give it a name that ends in .ckpt")
    if table.suffix != ".csv":
        raise InputError(f"--curve {table}: the file is a table; give it a name that ends in .csv")
    test_dir = Path(test_path or Path(cfg.pipeline.test_annotations).parent)
    if test_path is not None and not test_dir.is_dir():
        raise InputError(f"--test {test_dir} is not a folder; expected the recordings that are tested")
    paths = find_unlabelled(input_path)

    from britekit.pretraining.run import pretrain as run_pretraining

    # A temporary experiment's folder is deleted, and with it all by which a killed run could continue.
    log_root = (main_root() if is_dvc_stage() else Path()) / "logs/pretrain"

    def write_curve(result: Any) -> None:
        columns = ["epoch", "step", "loss", "lr"]
        write_csv(table, [columns, *([row[name] for name in columns] for row in result.epochs)])

    with stage_run("pretrain", cfg, {input_path: RECORDINGS}, continues=True) as run:
        result = run_pretraining(
            cfg, paths, Path(input_path), TestRecordings((), test_dir, cfg.misc.group_regex), output,
            log_root=log_root,
            on_step=lambda row: run.log({"loss": row["loss"], "lr": row["lr"]}, step=row["step"]),
            on_finished=write_curve,
        )  # fmt: skip
        result.plot(table.with_suffix(".png"))
        run.summary({"loss": result.loss, "recordings": result.recordings, "windows": result.windows})
        run.output(output, MEMBER)
    print(f"recordings = {result.recordings}")
    if result.continued:
        print(f"recordings_of_the_interrupted_run = {result.continued}")
    for name, count in (
        ("failed", len(result.failed)),
        ("too_short", len(result.short)),
        ("without_sound", len(result.mute)),
        ("not_drawn", len(result.unused)),
        ("refused", sum(map(len, result.refused.values()))),
        ("silent_windows", result.silent),
    ):
        if count:
            print(f"{name} = {count}")
    print(f"windows = {result.windows}")
    print(f"steps = {result.epochs[-1]['step']}")
    print(f"loss = {result.loss:.4f}")
    print(f"curve = {table}")
    print(f"checkpoint = {output}")
    result.raise_for_failures()
    return result
