"""`python -m britekit.config template`, `... demo` and `... reference` print the generated texts.

``demo`` is this repository's own ``params.yaml``: the defaults, with epochs that keep `make demo` short and
a recording for the page.
"""

import sys
from typing import Any

from britekit.config import reference_text, template_text

DEMO: dict[str, dict[str, Any]] = {
    "train": {"num_epochs": 10},
    "pipeline": {"sample": "data/test/soundscape-0001.flac"},
}

if __name__ == "__main__":
    texts = {"template": template_text, "demo": lambda: template_text(DEMO), "reference": reference_text}
    if len(sys.argv) != 2 or sys.argv[1] not in texts:
        sys.exit(f"usage: python -m britekit.config {'|'.join(texts)}")
    sys.stdout.write(texts[sys.argv[1]]())
