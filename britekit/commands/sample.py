"""Synthesize recordings and annotations of imaginary species.

Each species has its own call, with varying pitch, tempo, distance and echo, over wind, rain and insects. The
same seed gives the same files. --archive adds soundscapes without annotations from other sites, where microphone,
noise, echo, distances and the mix of species differ; --unseen adds annotated ones from sites that the archive lacks.

    britekit sample -o demo --classes 4 --recordings 20 --test 5
    britekit sample -o demo --archive 120 --unseen 40
"""

from typing import Annotated

from britekit.options import FillDir, opt


def sample(
    output_path: FillDir,
    num_classes: Annotated[int, opt("--classes", help="number of species, 1 to 10; Noise is added (default 6)")] = 6,
    num_recordings: Annotated[int, opt("--recordings", help="training recordings per class (default 40)")] = 40,
    num_test: Annotated[int, opt("--test", help="test recordings (default 13)")] = 13,
    seed: Annotated[int, opt("--seed", help="0 or more (default 1)")] = 1,
    archive: Annotated[
        int, opt("--archive", help="soundscapes of other sites without annotations, to DIR/archive (default 0)")
    ] = 0,
    unseen: Annotated[
        int, opt("--unseen", help="test soundscapes of sites that the archive lacks, to DIR/unseen (default 0)")
    ] = 0,
) -> tuple[int, int]:
    """Synthesize recordings and annotations of imaginary species.

    Returns
    -------
    Number of training and of test recordings.
    """
    from pathlib import Path

    from britekit.collect.sample import write_samples

    train, test = write_samples(Path(output_path), num_classes, num_recordings, num_test, seed, archive, unseen)
    print(f"training recordings = {train}")
    print(f"test recordings = {test}")
    for name, count in (("archive", archive), ("unseen sites", unseen)):
        if count:
            print(f"{name} = {count} recordings")
    return train, test
