"""`python -m britekit` is the same program as `britekit`."""

import sys

from britekit.cli import main

if __name__ == "__main__":
    sys.exit(main())
