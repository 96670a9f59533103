"""The bill of materials, checked by CycloneDX's own schema and against the pinned list."""

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from britekit.service.sbom import bill_of_materials
from tests.service.running import ROOT

REQUIREMENTS = ROOT / "britekit/service/requirements.txt"


def test_the_schema_accepts_it():
    text = json.dumps(bill_of_materials("owls", REQUIREMENTS, "python:3.11-slim"))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace('"library"', '"book"')) is not None


def test_every_pinned_package_is_in_it(tmp_path):
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]
    found = bill_of_materials("owls", REQUIREMENTS, "python:3.11-slim")["components"]
    assert [part["name"] for part in found[:2]] == ["python:3.11-slim", "britekit"]
    assert [f"{part['name']}=={part['version']}" for part in found[2:]] == lines


def test_addresses_of_packages(tmp_path):
    (tmp_path / "list.txt").write_text("# a comment\nRuamel.Yaml_x==0.18.1\n\nuvicorn[standard]==0.30 ; extra\n")
    *_, first, second = bill_of_materials("owls", tmp_path / "list.txt", "x")["components"]
    assert PackageURL.from_string(first["purl"]) == PackageURL("pypi", None, "ruamel-yaml-x", "0.18.1")
    assert second["purl"] == "pkg:pypi/uvicorn@0.30"
