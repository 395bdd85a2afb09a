"""What deploys the platform, held against schemas, against each other and against the code. No engine is needed."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from prometheus_client.parser import text_string_to_metric_families

from config.settings import Settings, load
from config.telemetry import counters
from config.telemetry.measures import MEASURES
from domain.connections import needed
from jobs.readings import Reporter
from jobs.runtimes import Observed, observe
from tenancy.access import Tenancy
from tests.architecture.rendering import containers, render
from web.app import create_app, description
from workers.chores import _say_who_leads

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
FLAVOURS = ("base", "overlays/small", "overlays/cloud")
GUIDES = {"README.md", "restoring.md", "upgrading.md"}
"""Pages for operators that no alert leads to."""

PROCESSES = {"web", "dispatcher", "worker-io", "worker-cpu", "beat", "flower"}
OF_THE_SERVERS = {
    "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "POSTGRES_INITDB_ARGS", "VALKEY_PASSWORD", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD",
    "GF_SECURITY_ADMIN_PASSWORD", "GF_ANALYTICS_REPORTING_ENABLED", "GF_ANALYTICS_CHECK_FOR_UPDATES", "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH",
}  # fmt: skip
"""Variables of PostgreSQL, Valkey, MinIO and Grafana, which are not ours to check."""


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def workload(flavour: str, name: str) -> dict[str, Any]:
    (found,) = [
        one for one in render(KUBERNETES / flavour) if (one["kind"], one["metadata"]["name"]) == ("Deployment", name)
    ]
    return found


@pytest.fixture(scope="module")
def metrics(settings: Settings, engine_tenancy: Tenancy) -> Iterator[set[str]]:
    """Names of all series that a scrape of this platform gives, once it has had a leader and run a job."""
    _say_who_leads(engine_tenancy.platform)
    observe(engine_tenancy.platform, {"system.ping": Observed().plus(0.001, failed=True)}, {})
    for measure in MEASURES.values():
        if measure.kind == "counter":
            counters.count(measure, *measure.labels)
        if measure.kind == "histogram":
            counters.observe(measure, 0.1, *measure.labels)
    Reporter(engine_tenancy.platform, "web").write(0.0)
    app = create_app(settings)
    with app.test_client() as client:
        client.get("/health")
        families = list(text_string_to_metric_families(client.get("/metrics").get_data(as_text=True)))
    yield {name for family in families for name in (family.name, *(sample.name for sample in family.samples))}
    app.extensions["nexus.tenancy"].dispose()
    engine_tenancy.platform.fetch("DELETE FROM leaders", {})
    for table in ("kind_runtimes", "readings", "processes"):
        engine_tenancy.platform.fetch(f"DELETE FROM {table}", {})  # type: ignore[arg-type]  # names of our own tables


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_manifest_is_one_that_kubernetes_takes(flavour: str) -> None:
    manifests = render(KUBERNETES / flavour)
    assert len(manifests) > 10
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.33", strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl here")
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_our_rendering_is_kustomizes_own(flavour: str) -> None:
    command = ["kubectl", "kustomize", str(KUBERNETES / flavour)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    theirs = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(told)}
    for one in theirs.values():
        assert one["metadata"].pop("namespace", "nexus") == "nexus"
    assert {(one["kind"], one["metadata"]["name"]): one for one in render(KUBERNETES / flavour)} == theirs


def test_a_manifest_with_a_wrong_word_is_found() -> None:
    broken = workload("base", "web")
    broken["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.33", strict=True)


def test_the_compose_file_is_one_that_docker_takes() -> None:
    jsonschema.validate(compose(), get_builtin_schema("vendor.compose-spec"))


@pytest.mark.parametrize("workflow", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.stem)
def test_the_workflow_is_one_that_github_takes(workflow: Path) -> None:
    parsed = yaml.load(workflow.read_text(), Loader=yaml.BaseLoader)  # the key `on` is no boolean there
    assert set(parsed["jobs"]) == {"lint", "test", "image"}
    jsonschema.validate(
        yaml.safe_load(workflow.read_text().replace("\non:", '\n"on":')), get_builtin_schema("vendor.github-workflows")
    )


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_kubernetes_runs_the_processes_of_supervisord(flavour: str) -> None:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read(ROOT / "supervisord.conf")
    deployed = {one["metadata"]["name"] for one in render(KUBERNETES / flavour) if one["kind"] == "Deployment"}
    assert deployed == PROCESSES
    for name in PROCESSES:
        supervised = shlex.split(parser[f"program:{name}"]["command"].replace("%%", "%"))
        (container,) = containers(workload(flavour, name))
        assert [part for part in container["command"] if not _differs(part)] == [
            part for part in supervised if not _differs(part)
        ]


def _differs(part: str) -> bool:
    return part.startswith(("--concurrency=", "--pidfile")) or "celerybeat-schedule" in part


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_no_container_of_ours_runs_as_root_or_writes_to_its_image(flavour: str) -> None:
    ours = [one for one in render(KUBERNETES / flavour) if one["kind"] in {"Deployment", "Job"}]
    assert len(ours) == len(PROCESSES) + 1
    for manifest in ours:
        pod = manifest["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"], manifest["metadata"]["name"]
        for container in containers(manifest):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert container["resources"]["limits"]["memory"]
    for name in PROCESSES | {"prepare"}:
        assert compose()["services"][name]["read_only"], name


def test_every_variable_that_is_set_for_us_is_one_of_our_settings() -> None:
    known = {field.alias for field in Settings.model_fields.values()}
    (configuration,) = [one for one in render(KUBERNETES / "base") if one["kind"] == "ConfigMap"]
    composed = {key for service in compose()["services"].values() for key in service.get("environment", {})}
    in_the_image = set(re.findall(r"\b(NEXUS_[A-Z_]+)=", (ROOT / "deploy" / "Dockerfile").read_text()))
    assert in_the_image >= {"NEXUS_ENV", "NEXUS_HOME"}
    assert set(configuration["data"]) | (composed - OF_THE_SERVERS) | in_the_image <= known


def test_the_image_runs_on_a_python_that_is_tested() -> None:
    bases = re.findall(r"^FROM python:(\S+)-slim", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert bases[0] in tested


def test_what_others_built_is_named_by_its_version() -> None:
    images = {service["image"] for service in compose()["services"].values()}
    images |= {
        one["image"] for flavour in FLAVOURS for each in render(KUBERNETES / flavour) for one in containers(each)
    }
    foreign = {image for image in images if image.rpartition("/")[2].partition(":")[0] != "nexus"}
    assert len(foreign) >= 5
    assert {image for image in foreign if not re.search(r":[A-Za-z.]*\d", image)} == set()


def test_the_image_holds_every_room_that_runs_and_none_that_only_develops() -> None:
    left_out = {line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines()}
    rooms = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"])
    assert rooms.isdisjoint(left_out)
    assert {"migrations", "requirements.lock", "pyproject.toml", "README.md"}.isdisjoint(left_out)
    assert {"tests", "bench", "clients", ".env", ".git", ".venv", "var"} <= left_out


def test_workers_get_longer_to_stop_than_they_take() -> None:
    longest = Settings.model_fields["worker_stop_seconds"].default
    for name in ("worker-io", "worker-cpu", "web"):
        assert workload("base", name)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > longest
        assert int(compose()["services"][name]["stop_grace_period"].removesuffix("s")) > longest


def test_workers_follow_a_metric_that_exists(metrics: set[str]) -> None:
    scaled = {one["metadata"]["name"]: one["spec"]["metrics"][0] for one in render(KUBERNETES / "overlays/cloud")
              if one["kind"] == "HorizontalPodAutoscaler"}  # fmt: skip
    assert set(scaled) == {"web", "worker-io", "worker-cpu"}
    for name in ("worker-io", "worker-cpu"):
        metric = scaled[name]["external"]["metric"]
        (container,) = containers(workload("base", name))
        served = container["command"][container["command"].index("-Q") + 1]
        assert metric["name"] in metrics
        assert metric["selector"]["matchExpressions"][0]["values"] == served.split(",")


def test_how_many_pods_there_are_is_said_by_the_autoscaler_alone() -> None:
    rendered = render(KUBERNETES / "overlays/cloud")
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in rendered if one["kind"] == "HorizontalPodAutoscaler"}
    said = {one["metadata"]["name"] for one in rendered if one["kind"] == "Deployment" and "replicas" in one["spec"]}
    assert scaled.isdisjoint(said)
    assert scaled | said == PROCESSES


def test_pods_are_spread_among_those_of_their_own_name() -> None:
    spread = [one["spec"]["template"] for one in render(KUBERNETES / "overlays/cloud")
              if one["kind"] == "Deployment" and "topologySpreadConstraints" in one["spec"]["template"]["spec"]]  # fmt: skip
    assert len(spread) == 4
    for template in spread:
        (constraint,) = template["spec"]["topologySpreadConstraints"]
        counted = {each["key"] for each in constraint["labelSelector"]["matchExpressions"]}
        assert counted == set(constraint["matchLabelKeys"]) == {"app.kubernetes.io/name"}
        assert counted <= set(template["metadata"]["labels"])


def test_what_a_small_platform_stores_outlives_its_pods_and_is_seen_by_all_of_them() -> None:
    rendered = render(KUBERNETES / "overlays/small")
    (claim,) = [one["metadata"]["name"] for one in rendered if one["kind"] == "PersistentVolumeClaim"]
    for manifest in (one for one in rendered if one["kind"] in {"Deployment", "Job"}):
        homes = [each for each in manifest["spec"]["template"]["spec"]["volumes"] if each["name"] == "home"]
        assert homes == [{"name": "home", "persistentVolumeClaim": {"claimName": claim}}], manifest["metadata"]["name"]
        (mount,) = [each for each in containers(manifest)[0]["volumeMounts"] if each["name"] == "home"]
        assert mount["mountPath"] == _configuration("overlays/small")["NEXUS_HOME"]


def _configuration(flavour: str) -> dict[str, str]:
    (found,) = [one["data"] for one in render(KUBERNETES / flavour) if one["kind"] == "ConfigMap"]
    data: dict[str, str] = found
    return data


def _most_connections(command: list[str]) -> int:
    (found,) = [int(part.partition("=")[2]) for part in command if part.startswith("max_connections=")]
    return found


def test_the_servers_that_come_along_give_the_connections_that_the_processes_may_ask_for() -> None:
    (server,) = [one for one in render(KUBERNETES / "overlays/small") if one["metadata"]["name"] == "postgres" and one["kind"] == "StatefulSet"]  # fmt: skip
    sizes = {name: value for name, value in _configuration("overlays/small").items() if name != "NEXUS_ENV"}
    assert needed(load(_env_file=None, **sizes)) <= _most_connections(containers(server)[0]["command"]) - 3
    assert needed(load(_env_file=None)) <= _most_connections(compose()["services"]["postgres"]["command"]) - 3


def test_a_pool_is_as_large_as_the_budget_reckons() -> None:
    for flavour, default in (("base", "2"), ("overlays/small", "2")):
        (container,) = containers(workload(flavour, "worker-cpu"))
        reckoned = _configuration(flavour).get("NEXUS_WORKER_CPU_CONCURRENCY", default)
        assert f"--concurrency={reckoned}" in container["command"]


def test_probes_ask_what_is_served() -> None:
    (web,) = containers(workload("base", "web"))
    served = set(description()["paths"])
    asked = {web[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"/health", "/health/ready"} <= served
    (flower,) = containers(workload("base", "flower"))
    assert {flower[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/healthcheck"}


def test_a_pod_of_web_has_time_to_be_forgotten_and_to_finish_what_it_holds() -> None:
    pod = workload("base", "web")["spec"]["template"]["spec"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    graceful = int(re.findall(r"^graceful_timeout = (\d+)", (ROOT / "web/gunicorn.py").read_text(), re.MULTILINE)[0])
    assert pod["terminationGracePeriodSeconds"] >= pause + graceful


def test_the_compose_file_names_at_its_head_every_secret_that_it_needs() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    assert len(asked) == 4
    assert [name for name in asked if name not in head] == []


def expressions() -> list[tuple[str, str]]:
    """Every expression of every alert and panel, with where it is."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    found = [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        found += [
            (f"{path.stem}: {panel['title']}", target["expr"])
            for panel in board["panels"]
            for target in panel["targets"]
        ]
    return found


def test_alerts_and_dashboards_name_only_metrics_that_exist(metrics: set[str]) -> None:
    assert len(expressions()) > 20
    missing = {
        where: unknown
        for where, expression in expressions()
        if (unknown := set(re.findall(r"\bnexus_[a-z_]+", expression)) - metrics)
    }
    assert missing == {}


def test_every_alert_has_a_runbook() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        page = ROOT / rule["annotations"]["runbook"]
        assert page.is_file(), f"{rule['alert']} wants {page.relative_to(ROOT)}"
        assert page.stem == re.sub(r"(?<!^)(?=[A-Z])", "-", rule["alert"].removeprefix("Nexus")).lower()
        assert {"## What it means", "## Look", "## Do"} <= set(page.read_text().splitlines())
    runbooks = {Path(rule["annotations"]["runbook"]).name for group in rules["groups"] for rule in group["rules"]}
    assert {path.name for path in (ROOT / "docs/operations").glob("*.md")} == runbooks | GUIDES
