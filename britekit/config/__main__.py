"""`python -m britekit.config template`, `... demo` and `... reference` print the generated texts.

``demo`` is this repository's own ``params.yaml``: the defaults, with epochs that keep `make demo` short,
a recording for the page and a purpose for the model card.
"""

import sys
from typing import Any

from britekit.config import reference_text, template_text

DEMO: dict[str, dict[str, Any]] = {
    "train": {"num_epochs": 10},
    "pipeline": {
        "intended_use": "Shows the pipeline on six imaginary species. It finds no real animal.",
        "sample": "data/test/soundscape-0001.flac",
    },
}

if __name__ == "__main__":
    texts = {"template": template_text, "demo": lambda: template_text(DEMO), "reference": reference_text}
    if len(sys.argv) != 2 or sys.argv[1] not in texts:
        sys.exit(f"usage: python -m britekit.config {'|'.join(texts)}")
    sys.stdout.write(texts[sys.argv[1]]())
