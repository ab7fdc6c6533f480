"""The examples of clusters: what can run on one machine runs here, and the rest is read as its own programs read it."""

import contextlib
import json
import os
import re
import runpy
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import distributed
import jsonschema
import numpy as np
import psutil
import pytest
import yaml
from dask.utils import parse_timedelta
from distributed.cli import dask_scheduler, dask_worker

import preimage
from preimage.volumes.engines.environment import complaints

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "examples" / "cluster"
GUIDES = [ROOT / "docs" / "clusters.md", *sorted(CLUSTER.rglob("*.md"))]
BIN = Path(sys.executable).parent
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""What the command line may have set in this process."""
SERVER, JOB = (yaml.safe_load((CLUSTER / "kubernetes" / f"{name}.yaml").read_text()) for name in ("cluster", "run"))
PODS = {
    "scheduler": SERVER["spec"]["scheduler"]["spec"],
    "worker": SERVER["spec"]["worker"]["spec"],
    "run": JOB["spec"]["template"]["spec"],
}


def environment(*folders, **variables):
    """That of a fresh shell in which these folders' commands are found before others."""
    inherited = {name: value for name, value in os.environ.items() if name not in WAITING}
    path = os.pathsep.join(map(str, (*folders, BIN, os.environ["PATH"])))
    return {**inherited, "OMP_NUM_THREADS": "1", "PATH": path, **variables}


@contextlib.contextmanager
def running(*command, folder, variables=None):
    """A program that is ended afterwards, as are those that it started."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, env=variables or environment(), stdout=log, stderr=log
        )
    mine = psutil.Process(process.pid)
    try:
        yield mine
    finally:
        started = [mine, *mine.children(recursive=True)]
        process.terminate()
        _, left = psutil.wait_procs(started, timeout=60)
        for one in left:
            one.kill()
    assert not left


def until(condition, folder):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.1)


@pytest.fixture
def certificates(tmp_path):
    subprocess.run([CLUSTER / "certificates.sh", tmp_path / "certificates"], check=True)
    return tmp_path / "certificates"


def tls_settings(certificates):
    return [f"--set=compute.tls.{name}={certificates}/{name}.pem" for name in ("ca", "cert", "key")]


def security(certificates):
    return distributed.Security(
        require_encryption=True,
        tls_ca_file=f"{certificates}/ca.pem",
        tls_client_cert=f"{certificates}/cert.pem",
        tls_client_key=f"{certificates}/key.pem",
    )


def environments(address, n_workers, secured):
    """Those of the workers, once so many are there."""
    with distributed.Client(address, security=secured, set_as_default=False, timeout=60) as client:
        client.wait_for_workers(n_workers, timeout=120)
        return client.run(lambda: dict(os.environ))


def same_as_serial(scan, *arguments):
    """Whether a run gives the very bits that one process gives."""
    scan("run", "scan.toml", "--set", "output.path=serial.zarr")
    scan("run", "scan.toml", *arguments)
    one, other = (preimage.open_dataset(scan.folder / path)["estimate"].values for path in ("serial.zarr", "out.zarr"))
    return np.array_equal(one, other)


class TestCertificates:
    def test_they_are_for_the_user_alone_and_are_never_replaced(self, certificates):
        assert sorted(path.name for path in certificates.iterdir()) == ["ca.pem", "cert.pem", "key.pem"]
        assert (certificates / "key.pem").stat().st_mode & 0o077 == 0
        key = (certificates / "key.pem").read_text()
        again = subprocess.run([CLUSTER / "certificates.sh", certificates], capture_output=True, text=True)
        assert again.returncode == 1
        assert "is there already" in again.stderr
        assert (certificates / "key.pem").read_text() == key

    @pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
    def test_they_are_strictly_valid(self, certificates, purpose):
        verify = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", certificates / "ca.pem"]
        subprocess.run([*verify, certificates / "cert.pem"], check=True)

    def test_those_of_another_authority_are_not(self, certificates, tmp_path):
        subprocess.run([CLUSTER / "certificates.sh", tmp_path / "others"], check=True)
        verify = ["openssl", "verify", "-CAfile", certificates / "ca.pem", tmp_path / "others" / "cert.pem"]
        assert subprocess.run(verify, capture_output=True).returncode != 0


class TestOneMachine:
    script = CLUSTER / "one-machine" / "start.sh"

    @pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
    def test_a_run_is_that_of_one_process(self, scan, certificates, secured):
        folder, file = scan.folder, scan.folder / "scheduler.json"
        options = ["certificates"] if secured else []
        with running(self.script, 2, *options, folder=folder) as cluster:
            until(file.exists, folder)
            address = json.loads(file.read_text())["address"]
            assert address.startswith("tls://127.0.0.1:" if secured else "tcp://127.0.0.1:")
            found = environments(address, 2, security(certificates) if secured else None)
            assert [complaints(one) for one in found.values()] == [[], []]
            settings = tls_settings("certificates") if secured else []
            assert same_as_serial(scan, "--set=compute.scheduler_file=scheduler.json", *settings)
            listening = [
                one.laddr.ip
                for process in cluster.children(recursive=True)
                for one in process.net_connections("inet")
                if one.status == psutil.CONN_LISTEN
            ]
            assert len(listening) >= 2 + 2 * 3  # a scheduler and two workers with pages, two nannies
            assert set(listening) == {"127.0.0.1"}
        assert not file.exists()


class TestSlurm:
    """With a stand-in for SLURM, which starts a job here and at once."""

    sbatch = (
        '#!/bin/sh\ncp "$1" job-$$\nsetsid bash job-$$ > log-$$ 2>&1 < /dev/null &\necho "Submitted batch job $!"\n'
    )
    scancel = '#!/bin/sh\nkill -TERM -- "-$1"\n'

    def test_a_run_is_that_of_one_process(self, scan, certificates, monkeypatch):
        pytest.importorskip("dask_jobqueue")
        for name in ("sbatch", "scancel"):
            (scan.folder / name).write_text(getattr(self, name))
            (scan.folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{scan.folder}{os.pathsep}{os.environ['PATH']}")
        scan("run", "scan.toml", "--set", "output.path=serial.zarr")
        for name in WAITING:
            monkeypatch.delenv(name, raising=False)
        example = runpy.run_path(str(CLUSTER / "slurm" / "run.py"))
        with example["make_cluster"](certificates, interface="lo") as cluster:
            check_job(cluster.job_script(), threads=example["THREADS"])
            assert example["run"](cluster, certificates, 2, ["scan.toml"]) == 0
            found = environments(cluster.scheduler_address, 2, security(certificates))
            assert [complaints(one) for one in found.values()] == [[], []]
        one, other = (preimage.open_dataset(path)["estimate"].values for path in ("serial.zarr", "out.zarr"))
        assert np.array_equal(one, other)
        assert len(list(scan.folder.glob("job-*"))) == 2


def check_job(script, threads):
    """A job is one worker that does one task at a time, leaves before SLURM ends it, and has what it needs."""
    wanted = dict(re.findall(r"^#SBATCH (-\w|--[\w-]+)[ =](\S+)$", script, re.M))
    assert wanted["--cpus-per-task"] == str(threads)
    assert wanted["--mem"] == "5G"
    assert wanted["-n"] == "1"
    assert f"source {CLUSTER}/environment.sh" in script.splitlines()
    command = shlex.split(script.splitlines()[-1])
    assert command[1:3] == ["-m", "distributed.cli.dask_worker"]
    options = dask_worker.main.make_context("dask worker", command[3:]).params
    assert (options["nthreads"], options["memory_limit"], options["n_workers"]) == (1, "0", None)
    assert (options["nanny"], options["dashboard"], options["tls_key"] is None) == (True, False, False)
    hours, minutes, seconds = map(int, wanted["-t"].split(":"))
    stay = parse_timedelta(options["lifetime"]) + parse_timedelta(options["lifetime_stagger"])
    assert stay + 60 <= 3600 * hours + 60 * minutes + seconds


class TestKubernetes:
    def test_its_commands_are_a_run_of_one_process(self, scan, certificates):
        """What the pods do, on this machine: only paths and addresses are others."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        def here(name):
            (container,) = PODS[name]["containers"]
            words = "\n".join(container["args"])
            for there, ours in (
                ("/tls/", f"{certificates}/"),
                ("/data/", f"{scan.folder}/"),
                ("preimage-scheduler:8786", f"127.0.0.1:{port}"),
                ("--port=8786", f"--port={port}"),
                ("0.0.0.0", "127.0.0.1"),
                ("$(DASK_WORKER_NAME)", name),
            ):
                words = words.replace(there, ours)
            variables = {one["name"]: one["value"] for one in container.get("env", ())}
            return words.split("\n"), environment(**variables)

        start, variables = here("scheduler")
        work, its = here("worker")
        command, _ = here("run")
        assert command[:3] == ["preimage", "run", str(scan.folder / "scan.toml")]
        with (
            running(*start, folder=scan.folder, variables=variables),
            running(*work, folder=scan.folder, variables=its),
        ):
            found = environments(f"tls://127.0.0.1:{port}", 1, security(certificates))
            assert [complaints(one) for one in found.values()] == [[]]
            assert same_as_serial(scan, *command[3:])

    def test_names_are_those_of_one_another(self):
        (scheduler,) = PODS["scheduler"]["containers"]
        service = SERVER["spec"]["scheduler"]["service"]
        assert service["selector"]["dask.org/cluster-name"] == SERVER["metadata"]["name"]
        assert {port["targetPort"] for port in service["ports"]} == {port["name"] for port in scheduler["ports"]}
        for pod in PODS.values():
            (container,) = pod["containers"]
            assert container["image"] == scheduler["image"]
            assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}

    def test_the_definition_of_the_operator_is_met(self):
        operator = pytest.importorskip("dask_kubernetes.operator")
        from dask_kubernetes.constants import SCHEDULER_NAME_TEMPLATE

        (path,) = Path(operator.__file__).parent.rglob("crds/daskcluster.yaml")
        definition = yaml.safe_load(path.read_text())["spec"]
        (version,) = definition["versions"]
        assert SERVER["apiVersion"] == f"{definition['group']}/{version['name']}"
        assert SERVER["kind"] == definition["names"]["kind"]
        schema = closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
        assert mistakes(SERVER["spec"], schema) == []
        assert mistakes(PODS["run"], schema["properties"]["worker"]["properties"]["spec"]) == []
        misspelt = {**SERVER["spec"], "worker": {**SERVER["spec"]["worker"], "replica": 4}}
        assert ["replica" in mistake for mistake in mistakes(misspelt, schema)] == [True]
        name = SCHEDULER_NAME_TEMPLATE.format(cluster_name=SERVER["metadata"]["name"])
        assert f"tls://{name}:8786" in PODS["worker"]["containers"][0]["args"]


def mistakes(instance, schema):
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(instance)]


def closed(schema):
    """A schema of Kubernetes as JSON schema, in which what it does not know is wrong."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    found = {name: closed(one) for name, one in schema.items() if not name.startswith("x-kubernetes-")}
    known = isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields")
    return {"additionalProperties": False, **found} if known else found


def calls_of(program, certificates):
    """The arguments of every call of a program of dask in the guides."""
    text = (
        "\n".join(guide.read_text() for guide in GUIDES).replace("\\\n", " ").replace("/shared/tls", str(certificates))
    )
    calls = re.findall(rf"^ {{4}}(?:\w+=\S+ )*dask {program} (.*)$", text, re.M)
    assert calls
    return [shlex.split(call) for call in calls]


def test_every_call_of_dask_in_the_guides_is_one_that_dask_understands(certificates):
    for call in calls_of("scheduler", certificates):
        dask_scheduler.main.make_context("dask scheduler", call)
    for call in calls_of("worker", certificates):
        options = dask_worker.main.make_context("dask worker", call).params
        assert (options["nthreads"], options["memory_limit"]) == (1, "0")


def test_every_call_of_dask_cuda_is_one_that_it_understands(certificates, tmp_path):
    worker = pytest.importorskip("dask_cuda.cli", exc_type=ImportError).worker
    script = CLUSTER / "one-machine" / "start.sh"
    calls = [*calls_of("cuda worker", certificates), recorded(script, "gpus", certificates, folder=tmp_path)]
    for call in calls:
        options = worker.make_context("dask cuda worker", call).params
        assert options["resources"] == "GPU=1"
        assert (options["nthreads"], options["memory_limit"], options["device_memory_limit"]) == (1, "0", "0")
        assert options["dashboard"] is False
    assert (options["host"], options["protocol"]) == ("127.0.0.1", "tls")


def recorded(*command, folder):
    """The arguments with which a script calls `dask cuda worker`."""
    dask = folder / "dask"
    dask.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> calls\n')
    dask.chmod(0o755)
    subprocess.run(list(map(str, command)), cwd=folder, env=environment(folder), check=True)
    (call,) = re.findall(r"^cuda worker (.*)$", (folder / "calls").read_text(), re.M)
    return shlex.split(call)


def test_every_variable_in_the_guides_is_what_the_script_sets():
    """What a shell exports that sources the script is what the guide tells to export."""
    page = (ROOT / "docs" / "clusters.md").read_text()
    told = "\n".join(re.findall(r"^ {4}(export .*)$", page, re.M))
    assert exported(f"source {CLUSTER}/environment.sh") == exported(told)
    assert complaints(exported(told)) == []


def exported(script):
    shown = subprocess.run(
        ["bash", "-c", f"{script}\nenv -0"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = dict(entry.split("=", 1) for entry in shown.split("\0") if entry)
    return {name: value for name, value in found.items() if name not in ("PATH", "PWD", "SHLVL", "_")}
