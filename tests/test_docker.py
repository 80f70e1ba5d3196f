"""Images, compose file and Kubernetes manifests: what can be checked without a daemon, a registry or a cluster."""

import fnmatch
import itertools
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import compose_spec
import kubernetes_validate
import pytest
import yaml
from dask.utils import parse_bytes
from distributed.cli import dask_scheduler, dask_worker

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
README = (DOCKER / "README.md").read_text()
CLUSTER = (ROOT / "docs" / "cluster.md").read_text()
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
DOCKERFILES = sorted(DOCKER.glob("*/Dockerfile"))
FOLDERS = sorted(path.parent for path in DOCKER.glob("kubernetes/*/kustomization.yaml"))
MANIFESTS = sorted(
    path for folder in FOLDERS for path in folder.glob("*.yaml") if path.name != "kustomization.yaml"
)
PINNED = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
OURS = {"avs-data", "avs-train", "avs-storage"}


def objects(path):
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


OBJECTS = [each for path in MANIFESTS for each in objects(path)]


def instructions(path):
    """(instruction, arguments) of a Dockerfile, lines joined, comments left out."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE))
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def froms(path):
    return [rest.split()[0] for name, rest in instructions(path) if name == "FROM"]


def pods():
    """(name, template of a pod) of every object that starts pods."""
    return [
        (each["metadata"]["name"], each["spec"]["template"])
        for each in OBJECTS
        if "template" in each.get("spec", {})
    ]


# --- Dockerfiles


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(path):
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_what_is_copied_is_there_and_not_ignored(path):
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    stages = {
        rest.split()[2] for name, rest in instructions(path) if name == "FROM" and len(rest.split()) == 3
    }
    copies = [shlex.split(rest) for name, rest in instructions(path) if name == "COPY"]
    for words in copies:
        if words[0].startswith("--from="):
            assert words[0].removeprefix("--from=") in stages
            continue
        for source in words[:-1]:
            assert (ROOT / source).exists(), source
            assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed), source


@pytest.mark.parametrize("path", [DOCKER / half / "Dockerfile" for half in ("pipelines", "train")])
def test_the_wheel_has_all_it_is_built_from(path):
    """Every folder that pyproject.toml packs, and the files that it reads."""
    copied = {word for name, rest in instructions(path) if name == "COPY" for word in shlex.split(rest)[:-1]}
    packed = re.search(r"^packages = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert {each.strip(' "') for each in packed.split(",")} <= copied
    assert {"pyproject.toml", "README.md", "constraints.txt"} <= copied


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_no_image_runs_as_root_and_every_base_has_a_tag(path):
    users = [rest for name, rest in instructions(path) if name == "USER"]
    assert users[-1] == "1000"
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", image) for image in froms(path)), froms(path)


def test_versions_are_the_projects_own():
    python = [
        re.search(r"python3?:?(3\.\d+)", image)[1] for image in froms(DOCKER / "pipelines" / "Dockerfile")
    ]
    assert len(python) == 2
    assert len(set(python)) == 1, "the wheel is built and installed with one Python"
    for package in ("apache-beam", "dask", "distributed"):
        assert PINNED[package] == version(package)
    cuda = re.search(r"cuda:(\d+\.\d+)", froms(DOCKER / "train" / "Dockerfile")[-1])[1]
    assert PINNED["cuda-toolkit"].startswith(f"{cuda}.")
    images = {service["image"] for service in SERVICES.values()} | {
        container["image"] for _, pod in pods() for container in pod["spec"]["containers"]
    }
    server = re.search(r"^version=(\S+)$", (ROOT / "tests/servers/build.sh").read_text(), re.MULTILINE)[1]
    assert f"versitygw@{server}" in (DOCKER / "storage" / "Dockerfile").read_text()
    assert images == OURS


# --- the compose file


def test_the_compose_file_has_no_key_that_compose_does_not_know():
    compose_spec.ComposeSpecification.model_validate(COMPOSE)
    fields = compose_spec.Service.model_fields
    known = {field.alias or name for name, field in fields.items()}
    for name, service in SERVICES.items():
        assert set(service) <= known, name
    assert set(COMPOSE) - {key for key in COMPOSE if key.startswith("x-")} == {"name", "services", "volumes"}


def test_services_name_what_is_there():
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert built == OURS
    for name, service in SERVICES.items():
        assert service["image"] in built, name
        assert service.get("command", name == "storage"), name
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
        if "build" in service:
            build = service["build"]
            context = DOCKER / (build if isinstance(build, str) else build["context"])
            assert (context / ("Dockerfile" if isinstance(build, str) else build["dockerfile"])).is_file(), (
                name
            )
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in COMPOSE["volumes"], name


def test_ports_are_open_to_this_machine_alone_and_listed_in_the_readme():
    exposed = {
        port
        for path in DOCKERFILES
        for name, rest in instructions(path)
        if name == "EXPOSE"
        for port in rest.split()
    }
    for name, service in SERVICES.items():
        for mapping in service.get("ports", ()):
            host, outer, inner = mapping.rsplit(":", 2)
            assert host == "127.0.0.1", name
            assert outer == inner
            assert inner in exposed, name
            assert re.search(rf"localhost:{outer}\b", README), f"{name}: {outer}"


def test_secrets_are_never_written_down():
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if "KEY" in key:
                assert re.fullmatch(r"\$\{S3_\w+_KEY:\?.*\}", value), (name, key)
    assert not any(each["kind"] == "Secret" for each in OBJECTS)
    for name, pod in pods():
        for container in pod["spec"]["containers"]:
            for variable in container.get("env", ()):
                assert "KEY" not in variable["name"] or "secretKeyRef" in variable["valueFrom"], name


# --- Kubernetes


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_kubernetes_takes_the_manifests(path):
    for each in objects(path):
        kubernetes_validate.validate(each, "1.37", strict=True)


def test_the_validator_refuses_what_is_wrong():
    wrong = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "x"},
        "spec": {"backoffLimit": "ten"},
    }
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_kustomizations_list_every_file_and_tag_every_image_of_ours(folder):
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(listed["resources"]) == {path.name for path in MANIFESTS if path.parent == folder}
    used = set()
    for each in itertools.chain.from_iterable(objects(folder / name) for name in listed["resources"]):
        pod = each.get("spec", {}).get("template", {}).get("spec", {})
        used |= {
            container["image"] for container in (*pod.get("containers", ()), *pod.get("initContainers", ()))
        }
    assert {image["name"] for image in listed["images"]} == used & OURS
    assert {image["newTag"] for image in listed["images"]} == {version("avs-data")}
    assert f"kubectl apply -k docker/kubernetes/{folder.name}" in README


def test_every_container_says_what_it_needs_and_how_it_does():
    jobs = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "Job"}
    for name, pod in pods():
        for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())):
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), name
            assert "memory" in resources["limits"], name
        for container in pod["spec"]["containers"]:
            assert name in jobs or {"readinessProbe", "livenessProbe"} <= set(container), name


def test_services_find_their_pods_and_claims_exist():
    labels = {name: pod["metadata"]["labels"] for name, pod in pods()}
    ports = {
        name: {
            port["containerPort"]
            for container in pod["spec"]["containers"]
            for port in container.get("ports", ())
        }
        for name, pod in pods()
    }
    for each in OBJECTS:
        if each["kind"] == "Service":
            name = each["metadata"]["name"]
            assert each["spec"]["selector"].items() <= labels[name].items()
            assert {port.get("targetPort", port["port"]) for port in each["spec"]["ports"]} <= ports[name], (
                name
            )
    claims = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "PersistentVolumeClaim"}
    for name, pod in pods():
        for volume in pod["spec"].get("volumes", ()):
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, name


# --- commands


def dask(words):
    """A call of the command `dask`, parsed by itself; with its settings."""
    command = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}[words[1]]
    return command.make_context(" ".join(words[:2]), list(words[2:])).params


def served():
    """(where it is written, words, memory limit in bytes) of each container that `dask` runs in."""
    for name, service in SERVICES.items():
        yield f"compose {name}", [*service.get("entrypoint", ()), *service.get("command", ())], None
    text = re.search(r"```yaml\n(.*?)```", CLUSTER, re.DOTALL)[1]
    group = yaml.safe_load(text)["spec"]
    for name, pod in [
        *((name, pod["spec"]) for name, pod in pods()),
        *((n, group[n]["spec"]) for n in group),
    ]:
        for container in pod["containers"]:
            words = [*container.get("command", ()), *container.get("args", ())]
            yield name, words, container.get("resources", {}).get("limits", {}).get("memory")


def test_workers_have_one_thread_and_a_limit_below_their_containers():
    settings = {"scheduler": 0, "worker": 0}
    for name, words, memory in served():
        if words[:1] != ["dask"]:
            continue
        found = dask(words)
        settings[words[1]] += 1
        if words[1] == "worker":
            assert found["nthreads"] == 1, name
            limit = parse_bytes(found["memory_limit"])
            assert memory is None or limit < parse_bytes(f"{memory}B"), name
    assert settings == {"scheduler": 3, "worker": 3}


def test_builds_name_the_scheduler_that_this_page_starts():
    text = re.sub(r"\\\n\s*", " ", "\n".join(re.findall(r"```\n(.*?)```", README, re.DOTALL)))
    builds = re.findall(r"avs-data (build .+)", text)
    builds += [
        " ".join(container["args"])
        for _, pod in pods()
        for container in pod["spec"]["containers"]
        if container.get("command") == ["avs-data"] and container["args"][0] == "build"
    ]
    assert len(builds) == 2
    assert "scheduler" in SERVICES
    assert "scheduler" in {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "Service"}
    for call in builds:
        assert "--scheduler tcp://scheduler:8786" in call.replace("=", " "), call


def test_trained_configurations_exist():
    from avs_train import config

    shown = re.findall(r"-m avs_train fit (\w+)", README + CLUSTER)
    shown += [arguments[arguments.index("fit") + 1] for arguments in (
        SERVICES["train"]["command"],
        next(pod["spec"]["containers"][0]["args"] for name, pod in pods() if name == "train"),
    )]  # fmt: skip
    assert len(shown) >= 3
    assert set(shown) <= set(config.names())
