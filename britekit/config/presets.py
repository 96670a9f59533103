"""Settings for `init --preset`, by how many training clips there are; measured by `benchmarks/recipes.py`.

The number of epochs follows the number of clips by itself (``train.num_epochs: null``).
"""

from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    # Below 500 clips. PCEN learned on spectrograms as they are, so they are scored as they are, too.
    "few": {"train": {"front": "pcen", "prob_simple_merge": 0.0, "prob_mixup": 0.5}, "infer": {"audio_power": 1.0}},
    "some": {},  # to 10,000: nothing was shown to be better than the defaults
    "many": {},
}
