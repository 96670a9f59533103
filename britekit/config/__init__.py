"""Settings: dataclasses, one file per section of `params.yaml`, and the layers that are merged into them.

In come YAML files, assignments at a prompt, a checkpoint's settings and command-line options; out comes one
checked `BaseConfig`, which is then passed as an argument. Nothing else in the library reads a global.

- `audio.py`, `train.py`, `infer.py`, `misc.py`, `pipeline.py`, `service.py`, `pretrain.py`: the sections, each
  field with meaning, unit and range
- `model_names.py`: which models and heads there are
- `augmentations.py`: the entries of `train.augmentations`; `augmentation_files.py`: what each
  augmentation's own file says about its parameters
- `fields.py`: a field's description, the check of a value against it
- `base.py`: all sections together and what must hold between them
- `yaml_reader.py`: a YAML file as values with lines
- `layers.py`: `resolve`, `get_config`, `from_dict`
- `template.py`: `params.yaml` and the reference page, written from the fields
"""

from britekit.config.audio import AudioConfig
from britekit.config.augmentations import AugmentationConfig
from britekit.config.base import BaseConfig, to_dict, to_shown_dict, without_defaults, without_password
from britekit.config.infer import InferConfig
from britekit.config.layers import from_dict, get_config, resolve
from britekit.config.misc import MiscConfig
from britekit.config.pipeline import PipelineConfig
from britekit.config.pretrain import PretrainConfig
from britekit.config.service import ServiceConfig
from britekit.config.template import reference_text, template_text
from britekit.config.train import TrainConfig

__all__ = [
    "AudioConfig",
    "AugmentationConfig",
    "BaseConfig",
    "InferConfig",
    "MiscConfig",
    "PipelineConfig",
    "PretrainConfig",
    "ServiceConfig",
    "TrainConfig",
    "from_dict",
    "get_config",
    "reference_text",
    "resolve",
    "template_text",
    "to_dict",
    "to_shown_dict",
    "without_defaults",
    "without_password",
]
