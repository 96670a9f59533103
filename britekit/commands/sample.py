"""Synthesise recordings and annotations of imaginary species.

Each species calls in its own way, at varying pitch, tempo, distance and echo, over wind, rain and insects.
Equal seeds give equal files.

    britekit sample -o demo --classes 4 --recordings 20 --test 5
"""

from dataclasses import dataclass

from britekit.options import option


@dataclass(kw_only=True)
class Options:
    """Options of `sample`."""

    output_path: str = option("-o", "--output", required=True, metavar="DIR", help="directory to fill")
    num_classes: int = option(
        "--classes", default=6, help="number of species, 1 to 10; Noise is added (default 6)"
    )
    num_recordings: int = option(
        "--recordings", default=40, help="training recordings per class (default 40)"
    )
    num_test: int = option("--test", default=13, help="test recordings (default 13)")
    seed: int = option("--seed", default=1, help="0 or more (default 1)")


def sample(
    output_path: str, num_classes: int = 6, num_recordings: int = 40, num_test: int = 13, seed: int = 1
) -> tuple[int, int]:
    """Synthesise recordings and annotations of imaginary species.

    Parameters
    ----------
    output_path
        Gets ``recordings/<class>/``, ``test/`` with ``annotations.csv``, and ``classes.csv``.
    num_classes
        Species, 1 to 10; the class Noise comes on top.
    num_recordings
        Training recordings per class.
    num_test
        Test recordings.
    seed
        Equal seeds give equal bytes.

    Returns
    -------
    Number of training and of test recordings.
    """
    from pathlib import Path

    from britekit.collect.sample import write_samples

    train, test = write_samples(Path(output_path), num_classes, num_recordings, num_test, seed)
    print(f"training recordings = {train}")
    print(f"test recordings = {test}")
    return train, test
