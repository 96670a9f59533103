"""Builds the Bento: the model folder, this package's source and the pinned list, exported to one file.

The same ensemble, settings and source give the same bytes. The container image is built from our own
Dockerfile: BentoML's has no health check.

BentoML runs in a process of its own with a home of its own, so that nothing is left in the user's home and
nothing of its global state in ours.
"""

from __future__ import annotations

import bz2
import contextlib
import datetime
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import britekit
from britekit.config import BaseConfig
from britekit.errors import InputError, ModelError
from britekit.files import atomic_path, write_json, writing
from britekit.leftovers import temporary_folder
from britekit.service.contents import CARD, Contents, write_contents
from britekit.service.sbom import SBOM, bill_of_materials

SERVICE_FILE = "service.py"
MODEL_FOLDER = "model"
REQUIREMENTS, EMBEDDERS = "requirements.txt", "embedders.txt"
BASE_IMAGE = "python:3.11-slim"
# The package is on the path because it lies beside this file.
SERVICE_TEXT = '''"""Entry point of the service for BentoML; the model is in the folder beside this file."""

import os
from pathlib import Path

os.environ.setdefault("BRITEKIT_MODEL_FOLDER", str(Path(__file__).resolve().parent / "model"))

from britekit.service.mounted import Service  # noqa: E402

__all__ = ["Service"]
'''
# Time of a file that BentoML dates with the build, and of all files of the archive.
_DATE = "2000-01-01T00:00:00+00:00"
_BUILD_SECONDS = 300


@dataclass(frozen=True)
class Package:
    """A Bento that has been written."""

    path: Path
    tag: str
    """``name:version``; the version is a hash of what is inside. The container image has it too."""
    members: list[str]
    classes: int
    bytes: int
    card: str
    """The model card, as it is inside."""


def build_bento(
    cfg: BaseConfig, members: Sequence[Path], output: Path, name: str, containerize: bool = False
) -> Package:
    """Package an ensemble as a Bento and export it to ``output``.

    Parameters
    ----------
    cfg, members
        From ``britekit.inference.model_files.resolve_for_models``.
    output
        The file; its suffix chooses the format: ``.bento``, ``.tar``, ``.tar.gz``, ``.zip``.
    name
        Name of the Bento: lower-case letters, digits, ``-``, ``_``, ``.``.
    containerize
        Also build the container image ``name:version``, the newest also as ``name:latest``, with the Docker
        client on the PATH. Its output goes to standard error.

    Raises
    ------
    ModelError
        A member has no export; or BentoML or Docker could not build. A Bento that is complete stays.
    InputError
        A file that the settings name is missing, or there is no container engine.
    """
    if containerize and shutil.which("docker") is None:
        raise InputError("--containerize needs the docker client on the PATH; leave the option out or install it")
    if shutil.which("uv", path=_path_with_scripts()) is None:
        # BentoML would install it into the user's environment, unasked and unpinned.
        raise InputError('the program "uv" is not installed, which BentoML needs; install it with "pip install uv"')
    with temporary_folder("bento") as place:
        context = place / "context"
        contents = write_contents(cfg, members, context / MODEL_FOLDER)
        _write_source(context)
        listed = context / "britekit/service" / REQUIREMENTS
        if needs_own_runtime(contents.exports):
            with open(listed, "a", encoding="utf-8") as file:
                file.write(Path(__file__).with_name(EMBEDDERS).read_text(encoding="utf-8"))
        write_json(context / SBOM, bill_of_materials(name, listed, _base_image()))
        version = _version_of(context)
        with atomic_path(output) as partial:
            exported = place / f"export{output.suffix or '.bento'}"
            tag = _run_builder(place, context, exported, name, version)
            with writing(output):
                shutil.copyfile(exported, partial)
        if containerize:
            _build_image(output, tag, place / "image")
        classes = sum(1 for _ in (context / MODEL_FOLDER / "classes.csv").open(encoding="utf-8")) - 1
        card = (context / MODEL_FOLDER / CARD).read_text(encoding="utf-8")
        return Package(output, tag, _members(contents), classes, output.stat().st_size, card)


def needs_own_runtime(exports: Sequence[Path]) -> bool:
    """Return whether a member is a probe whose embedder runs on another runtime than OpenVINO."""
    from britekit.inference.backend import PROBE
    from britekit.inference.probe_file import ProbeModel

    return any(path.suffix == PROBE and ProbeModel(path).runtime != "openvino" for path in exports)


def _write_source(folder: Path) -> None:
    """Write the entry point of the service and the package's source to ``folder``."""
    (folder / SERVICE_FILE).write_text(SERVICE_TEXT, encoding="utf-8")
    source = Path(britekit.__file__).parent
    shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"))


def _clean_environment(home: Path) -> dict[str, str]:
    """Return the environment for a BentoML process: a home of its own, nothing sent to anyone."""
    environment = {**os.environ, "PATH": _path_with_scripts()}
    # Settings of a user's own BentoML must not leak in.
    environment.pop("BENTOML_CONFIG", None)
    home.mkdir(parents=True, exist_ok=True)
    environment.update(BENTOML_HOME=str(home), BENTOML_DO_NOT_TRACK="true", PYTHONDONTWRITEBYTECODE="1")
    return environment


def _path_with_scripts() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _members(contents: Contents) -> list[str]:
    return [path.name for path in contents.exports]


def _version_of(folder: Path) -> str:
    """Return a hash of all files, so that equal contents have equal tags."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _build_image(bento: Path, tag: str, context: Path) -> None:
    context.mkdir()
    shutil.copyfile(bento, context / bento.name)
    command = ["docker", "build", "--build-arg", f"BENTO={bento.name}", "--build-arg", f"BASE={_base_image()}"]
    command += ["--file", str(Path(__file__).with_name("Dockerfile"))]
    command += ["--tag", tag, "--tag", tag.partition(":")[0], str(context)]
    # It takes minutes: people want to see what it does, and standard output is for results.
    code = subprocess.run(command, stdout=2, check=False).returncode
    if code != 0:
        raise ModelError(f"{bento} is written, but docker could not build {tag} (exit code {code}); see above")


def _base_image() -> str:
    return os.environ.get("BRITEKIT_BASE_IMAGE", BASE_IMAGE)


def _run_builder(place: Path, context: Path, exported: Path, name: str, version: str) -> str:
    order = {
        "context": str(context),
        "exported": str(exported),
        "name": name,
        "version": version,
        "base_image": _base_image(),
    }
    command = [sys.executable, "-m", "britekit.service.bento", json.dumps(order)]
    environment = _clean_environment(place / "home")
    environment["TMPDIR"] = str(place)  # what BentoML leaves behind goes with the rest
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(britekit.__file__).parent.parent), *filter(None, [environment.get("PYTHONPATH")])]
    )
    try:
        done = subprocess.run(
            command, cwd=context, env=environment, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"BentoML did not build {name} within {_BUILD_SECONDS} s") from None
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise ModelError(f"BentoML could not build {name}: {lines[-1] if lines else 'it gave no reason'}")
    return done.stdout.strip().splitlines()[-1]


def _main(order: dict[str, str]) -> None:
    """Build in the process that ``_run_builder`` started; the last line on stdout is the tag."""
    import bentoml

    # The context's list: a probe may have added the runtime of its embedder.
    listed = Path(order["context"], "britekit/service", REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    packages = [line for line in listed if line and not line.startswith("#")]
    bento = bentoml.build(
        "service:Service",
        name=order["name"],
        version=order["version"],
        description="Finds sounds in recordings; made by britekit.",
        build_ctx=order["context"],
        docker={"base_image": order["base_image"], "python_version": "3.11"},
        # The list itself, since BentoML reads no file of a folder whose name begins with a dot, as ours does.
        python={"packages": packages, "lock_packages": False},
    )
    folder, exported = Path(bento.path), Path(order["exported"])
    facts = folder / "bento.yaml"
    text = re.sub(r"(?m)^creation_time: .*$", f"creation_time: '{_DATE}'", facts.read_text(encoding="utf-8"))
    facts.write_text(text, encoding="utf-8")
    (_write_zip if exported.suffix == ".zip" else _write_tar)(folder, exported)
    print(bento.tag)


def _write_tar(folder: Path, path: Path) -> None:
    """Write an archive that ``bentoml import`` reads: by its suffix it expects xz, gzip, bzip2 or nothing."""

    def undated(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime, member.uid, member.gid, member.uname, member.gname = _timestamp(), 0, 0, "", ""
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with open(path, "wb") as file:
        compressed: Any = {
            ".tar": lambda: contextlib.nullcontext(file),
            ".gz": lambda: gzip.GzipFile("", "wb", fileobj=file, mtime=0),
            ".bz2": lambda: bz2.BZ2File(file, "wb"),
        }.get(path.suffix, lambda: lzma.LZMAFile(file, "wb"))  # noqa: SIM115 closed below
        with compressed() as out, tarfile.open(fileobj=out, mode="w") as archive:
            archive.add(folder, ".", recursive=False, filter=undated)
            for item in sorted(folder.rglob("*")):
                archive.add(item, f"./{item.relative_to(folder).as_posix()}", recursive=False, filter=undated)


def _write_zip(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for item in sorted(folder.rglob("*")):
            if item.is_file():
                info = zipfile.ZipInfo(item.relative_to(folder).as_posix(), (2000, 1, 1, 0, 0, 0))
                info.external_attr, info.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
                archive.writestr(info, item.read_bytes())


def _timestamp() -> float:
    return datetime.datetime.fromisoformat(_DATE).timestamp()


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
