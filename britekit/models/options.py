"""Plain values from which a recognizer is rebuilt; what backbones and heads may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Blueprint:
    """Everything that decides a network's structure.

    Attributes
    ----------
    model_type, head_type
        ``family.size`` and head; ``head_type`` None is the family's own head.
    num_classes
        C.
    height, width
        Rows and columns of the spectrograms the network is for.
    frames
        T = round(sed_fps * spec_duration); used by heads that detect in time.
    hidden_channels
        Width inside the head.
    drop_rate, drop_path_rate
        Dropout and stochastic depth; None leaves the family's own value.
    pretrained
        Fetch timm's weights; never set when a checkpoint is loaded.
    lse_temp, two_way
        Settings of the temporal head.
    as_public
        Layers that public britekit builds otherwise are built as there; set for its checkpoints.
    """

    model_type: str
    head_type: str | None
    num_classes: int
    height: int
    width: int
    frames: int = 1
    hidden_channels: int = 256
    drop_rate: float | None = None
    drop_path_rate: float | None = None
    pretrained: bool = False
    lse_temp: float = 0.5
    two_way: bool = True
    as_public: bool = False
