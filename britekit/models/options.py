"""Plain values from which a recognizer is rebuilt; what backbones and heads may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Blueprint:
    """Everything that decides a network's structure."""

    model_type: str
    head_type: str | None
    """``family.size`` and head; ``head_type`` None is the family's own head."""
    num_classes: int
    """C."""
    height: int
    width: int
    """Rows and columns of the spectrograms the network is for."""
    frames: int = 1
    """T = round(sed_fps * spec_duration); used by heads that detect in time."""
    hidden_channels: int = 256
    """Width inside the head."""
    drop_rate: float | None = None
    drop_path_rate: float | None = None
    """Dropout and stochastic depth; None leaves the family's own value."""
    pretrained: bool = False
    """Fetch timm's weights; never set when a checkpoint is loaded."""
    lse_temp: float = 0.5
    two_way: bool = True
    """Settings of the temporal head."""
    front: str | None = None
    """Learned layer before the backbone, see `fronts`."""
    as_public: bool = False
    """Layers that public britekit builds otherwise are built as there; set for its checkpoints."""
