"""Synthesise recordings and annotations of imaginary species.

Each species has its own call, with varying pitch, tempo, distance and echo, over wind, rain and insects. The
same seed gives the same files.

    britekit sample -o demo --classes 4 --recordings 20 --test 5
"""

from typing import Annotated

from britekit.options import FillDir, opt


def sample(
    output_path: FillDir,
    num_classes: Annotated[int, opt("--classes", help="number of species, 1 to 10; Noise is added (default 6)")] = 6,
    num_recordings: Annotated[int, opt("--recordings", help="training recordings per class (default 40)")] = 40,
    num_test: Annotated[int, opt("--test", help="test recordings (default 13)")] = 13,
    seed: Annotated[int, opt("--seed", help="0 or more (default 1)")] = 1,
) -> tuple[int, int]:
    """Synthesise recordings and annotations of imaginary species.

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
