"""Write ``logs/version_N``: checkpoints of the last epochs, TensorBoard events, the settings of the run."""

import math
import time
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from britekit.config.yaml_reader import dump_plain
from britekit.files import write_text, writing
from britekit.models.checkpoint import save_checkpoint
from britekit.models.recognizer import Recognizer


class LogFolder:
    """The folder of a run.

    Parameters
    ----------
    root
        ``logs`` or ``logs/fold-K``.
    version
        Number of a run to continue; None for the next free one.
    prefix
        Prefix of checkpoint names.
    save_last_n
        Number of last epochs whose checkpoints are kept.
    first_step
        First step of this process; curves of a continued run are cut off there.
    run_name
        Folder of TensorBoard events; a continued run keeps its folder.
    """

    def __init__(
        self, root: Path, version: int | None, prefix: str, save_last_n: int, first_step: int = 0, run_name: str = ""
    ):
        self.version, self.path = _claim(root) if version is None else (version, root / f"version_{version}")
        self.path.mkdir(parents=True, exist_ok=True)
        self.checkpoints = self.path / "checkpoints"
        self.prefix = f"{prefix}-" if prefix else ""
        self.save_last_n = save_last_n
        self._saved_at = -math.inf
        with writing(self.path):
            cut = first_step if version is not None else None
            earlier = [path.parent for path in sorted(self.path.rglob("events.out.*"))]
            events = earlier[0] if earlier else self.path / run_name
            self.writer = SummaryWriter(log_dir=str(events), purge_step=cut)

    def describe(self, recognizer: Recognizer, hyper: dict[str, Any], settings: dict[str, Any]) -> None:
        """Write the network structure and the settings."""
        write_text(self.path / "backbone.txt", f"{recognizer.backbone}\n")
        write_text(self.path / "head.txt", f"{recognizer.head}\n")
        write_text(self.path / "hparams.yaml", _yaml(hyper))
        write_text(self.path / "config.yaml", _yaml(settings))

    def checkpoint_path(self, epoch: int) -> Path:
        """Return the path of an epoch's checkpoint."""
        return self.checkpoints / f"{self.prefix}v{self.version}-e{epoch}.ckpt"

    def save(
        self,
        recognizer: Recognizer,
        hyper: dict[str, Any],
        settings: dict[str, Any],
        epoch: int,
        training_state: dict[str, Any],
        best: int | None = None,
    ) -> None:
        """Write an epoch's checkpoint and delete those of older epochs; keep that of ``best``."""
        path = self.checkpoint_path(epoch)
        self._saved_at = time.monotonic()
        save_checkpoint(path, recognizer, hyper, settings, epoch=epoch, training_state=training_state)
        for old in range(max(0, epoch - self.save_last_n + 1)):
            if old != best:
                self.checkpoint_path(old).unlink(missing_ok=True)

    def saved_within(self, seconds: float) -> bool:
        """Return whether a checkpoint was written within the given seconds."""
        return time.monotonic() - self._saved_at < seconds

    def kept_checkpoints(self) -> list[Path]:
        """Return the checkpoints in the folder, in order of epochs."""
        return sorted(self.checkpoints.glob("*.ckpt"), key=lambda p: int(p.stem.rpartition("-e")[2]))

    def scalars(self, step: int, values: dict[str, float | None]) -> None:
        """Add points to TensorBoard's curves; skip undefined values."""
        for name, value in values.items():
            if value is not None:
                with writing(self.path):
                    self.writer.add_scalar(name, value, step)

    def epoch(self, row: dict[str, Any]) -> None:
        """Add the metrics of an epoch to TensorBoard's curves."""
        figures = {name: value for name, value in row.items() if name.startswith("val_")}
        self.scalars(row["step"], {**figures, "epoch": row["epoch"]})

    def flush(self) -> None:
        """Flush the events, so that a killed run can be continued after them."""
        with writing(self.path):
            self.writer.flush()

    def close(self) -> None:
        """Flush and close the events."""
        with writing(self.path):
            self.writer.close()  # raises what its thread met while writing


def _claim(root: Path) -> tuple[int, Path]:
    """Return the next free version; creating the directory claims it, so concurrent runs get different ones."""
    root.mkdir(parents=True, exist_ok=True)
    taken = [p.name.removeprefix("version_") for p in root.glob("version_*")]
    number = max((int(t) for t in taken if t.isdigit()), default=-1) + 1
    while True:
        try:
            (root / f"version_{number}").mkdir()
            return number, root / f"version_{number}"
        except FileExistsError:
            number += 1


def _yaml(values: dict[str, Any]) -> str:
    return dump_plain(values)
