"""How fast does every network run here, forward and in training? Prints a row per size.

    python benchmarks/models.py [--quick] [--families effnet,vovnet] [--models effnet.1,timm.NAME]
                                [--batch 64] [--seconds 2] [--csv FILE] [--cpu]

Spectrograms of 128 x 480 with random contents, 50 classes, each family's own head; on the GPU if there is
one. Training is forward, loss and backward without optimizer, data and augmentation. The last columns put
the training speed beside that of the first network of the list, and give the multiply-adds per second that
the device reached. `--quick` takes the smallest size of each family and a batch of 8.
"""

from __future__ import annotations

import argparse
import csv

import torch

from britekit.models.cost import compute_cost, model_names
from britekit.models.options import Blueprint
from britekit.models.timing import measure_speed
from britekit.training.devices import choose_device, device_name, memory_format

HEADING = ("model", "parameters", "gmacs", "forward_per_s", "training_per_s", "relative", "forward_gmacs_per_s")


def wanted(options: argparse.Namespace) -> list[str]:
    """Names of the networks to run."""
    if options.models:
        return list(options.models.split(","))
    names = model_names()
    if options.families:
        names = [name for name in names if name.partition(".")[0] in options.families.split(",")]
    if options.quick:
        smallest = {name.partition(".")[0]: name for name in reversed(names)}
        names = sorted(smallest.values())
    return names


def main() -> None:
    """Measure, and print a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--families", default="")
    parser.add_argument("--models", default="")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--csv", default="")
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    device = choose_device(options.cpu)
    batch = options.batch or (8 if options.quick else 64)
    seconds = options.seconds or (0.3 if options.quick else 2.0)
    print(f"device = {device_name(device)}, torch {torch.__version__}, batch {batch}, 128 x 480")
    print("{:<28}{:>12}{:>9}{:>15}{:>16}{:>10}{:>21}".format(*HEADING))
    rows: list[tuple[object, ...]] = []
    first = 0.0
    for name in wanted(options):
        blueprint = Blueprint(name, None, 50, 128, 480)
        cost = compute_cost(blueprint)
        forward, training = measure_speed(blueprint, device, memory_format(device), batch, seconds)
        first = first or training
        row = (
            name, cost.parameters, cost.gmacs, forward, training, training / first, forward * cost.gmacs,
        )  # fmt: skip
        rows.append(row)
        print("{:<28}{:>12,}{:>9.3f}{:>15.1f}{:>16.1f}{:>10.2f}{:>21.1f}".format(*row), flush=True)
    if options.csv:
        with open(options.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(HEADING)
            writer.writerows(rows)


if __name__ == "__main__":
    main()
