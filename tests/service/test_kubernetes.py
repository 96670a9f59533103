"""docker/kubernetes.yaml: accepted by the schemas of Kubernetes, and about this service."""

import copy
import re

import kubernetes_validate
import pytest
import yaml

from britekit.service.access import OPEN
from britekit.service.metrics import Metrics
from tests.service.running import ROOT

FILE = ROOT / "docker/kubernetes.yaml"
DOCUMENTS = list(yaml.safe_load_all(FILE.read_text(encoding="utf-8")))
BY_NAME = {(x["kind"], x["metadata"]["name"]): x for x in DOCUMENTS}
VERSIONS = ("1.29", kubernetes_validate.latest_version())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda x: f"{x['kind']}-{x['metadata']['name']}")
def test_the_schemas_accept_it(document, version):
    kubernetes_validate.validate(document, version, strict=True)


def test_the_schemas_reject_a_spoilt_one():
    spoilt = copy.deepcopy(BY_NAME["Deployment", "britekit"])
    spoilt["spec"]["template"]["spec"]["containers"][0]["readinessprobe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(spoilt, VERSIONS[-1], strict=True)


def test_it_is_about_this_service():
    known = set()
    for path in (ROOT / "britekit/service").rglob("*.py"):
        known |= set(re.findall(r"BRITEKIT_[A-Z_]+", path.read_text(encoding="utf-8")))
    image = (ROOT / "britekit/service/Dockerfile").read_text(encoding="utf-8")
    for kind, name in (("Deployment", "britekit"), ("StatefulSet", "britekit-jobs")):
        spec = BY_NAME[kind, name]["spec"]
        pod, labels = spec["template"]["spec"], spec["template"]["metadata"]["labels"]
        (container,) = pod["containers"]
        settings = {x["name"]: x["value"] for x in container["env"]}
        assert settings.keys() <= known and all(isinstance(x, str) for x in settings.values())
        assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}\n" in image
        assert f"EXPOSE {container['ports'][0]['containerPort']}\n" in image
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["path"] in OPEN, "a probe sends no token"
        # The service needs two more seconds than it gives its requests, and the pod waits for five before it.
        assert int(settings["BRITEKIT_STOP_SECONDS"]) + 2 + 5 < pod["terminationGracePeriodSeconds"]
        assert labels == spec["selector"]["matchLabels"] == BY_NAME["Service", name]["spec"]["selector"]
        mounted = {x["name"]: x["mountPath"] for x in container["volumeMounts"]}
        volumes = {x["name"] for x in [*pod["volumes"], *(y["metadata"] for y in spec.get("volumeClaimTemplates", []))]}
        assert set(mounted) == volumes
        assert ("BRITEKIT_JOBS" in settings) == (kind == "StatefulSet")
        if kind == "StatefulSet":
            assert settings["BRITEKIT_JOBS"] == mounted["jobs"] and spec["replicas"] == 1
    # The lines about PostgreSQL, put in place of the folder, give a valid document.
    text = FILE.read_text(encoding="utf-8").replace("            - {name: BRITEKIT_JOBS, value: /jobs}\n", "")
    text = re.sub(r"# (- \{name: BRITEKIT_JOBS)", r"\1", text)
    (jobs,) = [x for x in yaml.safe_load_all(text) if x["kind"] == "StatefulSet"]
    kubernetes_validate.validate(jobs, VERSIONS[-1], strict=True)
    names = {x["name"] for x in jobs["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert {"BRITEKIT_JOBS", "BRITEKIT_JOBS_FOLDER"} <= names <= known
    metric = BY_NAME["HorizontalPodAutoscaler", "britekit"]["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert f"\n{metric} 0.0\n" in Metrics(lambda: 0, lambda: 0).text().decode()
    (rule,) = BY_NAME["Ingress", "britekit"]["spec"]["rules"]
    backends = {x["path"]: x["backend"]["service"]["name"] for x in rule["http"]["paths"]}
    assert backends == {"/jobs": "britekit-jobs", "/": "britekit"}
