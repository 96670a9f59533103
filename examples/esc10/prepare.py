"""Create the ESC-10 project: folds 1 to 3 for training, fold 4 (or another, `--test-fold`) for the test.

python examples/esc10/prepare.py PATH/TO/esc10 ../esc10-project
cd ../esc10-project
dvc repro
python ../britekit/examples/esc10/figures.py
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import yaml

from britekit import commands
from britekit.config import template_text
from britekit.errors import BriteKitError, InputError

HERE = Path(__file__).resolve().parent
FOLDS = "1234"


def prepare(data: Path, dest: Path, test_fold: int = 4) -> None:
    """Create the project in ``dest`` from ``data/recordings/<class>/<fold>-<source>-<take>.ogg``."""
    data = data.resolve()
    if not (data / "recordings").is_dir() or not (data / "classes.csv").is_file():
        raise InputError(f"{data} does not contain a folder recordings and classes.csv; expected the ESC-10 clips")
    commands.init(dest=str(dest))
    settings = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
    (dest / "params.yaml").write_text(template_text(settings), encoding="utf-8")
    shutil.copyfile(data / "classes.csv", dest / "data/classes.csv")
    sources = ["class,source,query,limit,split"]
    training = FOLDS.replace(str(test_fold), "")
    sources += [
        f'*,folder,"{data}/recordings/*/[{training}]-*",,train',
        f'*,folder,"{data}/recordings/*/{test_fold}-*",,test',
    ]
    (dest / "data/sources.csv").write_text("\n".join(sources) + "\n", encoding="utf-8")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with recordings/ and classes.csv")
    parser.add_argument("dest", type=Path, help="folder of the project")
    parser.add_argument("--test-fold", type=int, default=4, choices=[int(fold) for fold in FOLDS], help="default: 4")
    options = parser.parse_args()
    try:
        prepare(options.data, options.dest, options.test_fold)
    except BriteKitError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
