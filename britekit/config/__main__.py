"""`python -m britekit.config template` and `... reference` print the generated texts."""

import sys

from britekit.config import reference_text, template_text

if __name__ == "__main__":
    texts = {"template": template_text, "reference": reference_text}
    if len(sys.argv) != 2 or sys.argv[1] not in texts:
        sys.exit("usage: python -m britekit.config template|reference")
    sys.stdout.write(texts[sys.argv[1]]())
