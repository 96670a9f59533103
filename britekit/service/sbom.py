"""Lists what the serving image holds, as a CycloneDX 1.6 software bill of materials.

The list names the base image and the pinned Python packages; the operating system's packages belong to the
base image and are listed by its maker. It carries no date and no serial number, so it is the same each time.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import britekit

SBOM = "sbom.cdx.json"
_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)")


def bill_of_materials(name: str, requirements: Path, base_image: str) -> dict[str, Any]:
    """Return the bill of materials of an image.

    Parameters
    ----------
    name
        Of the Bento.
    requirements
        File of pinned packages, ``name==version`` per line.
    base_image
        What the image is built on.
    """
    lines = requirements.read_text(encoding="utf-8").splitlines()
    packages = [found.groups() for line in lines if (found := _PIN.match(line))]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": name, "name": name}},
        "components": [
            {"type": "container", "bom-ref": base_image, "name": base_image},
            *(_package(*pin) for pin in [("britekit", britekit.__version__), *packages]),
        ],
    }


def _package(name: str, version: str) -> dict[str, str]:
    # https://github.com/package-url/purl-spec: PyPI's names are lower-case with dashes.
    purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
