"""Run a file with workers that are SLURM jobs.

    python run.py scan.toml [what `preimage run` takes]

The jobs are submitted when the run begins, and cancelled when it ends. Each is one worker, and a job that ends before
the run does, at its time limit or with its node, is submitted again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dask_jobqueue import SLURMCluster
from distributed import Security

from preimage_registry.cli import main as preimage

HERE = Path(__file__).resolve().parent
CERTIFICATES = Path("certificates").resolve()  # made by ../certificates.sh, on a disk that all nodes see
JOBS = 8
THREADS = 4  # as many as `threads` of the run file


def make_cluster(certificates: Path, **changes: Any) -> SLURMCluster:
    """A scheduler in this process, whose workers are jobs. What stands here depends on your cluster."""
    cert, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    of_a_job = {
        "queue": "compute",
        "walltime": "04:00:00",
        "interface": "ib0",  # the network between the nodes
        "memory": "5 GiB",  # `memory` of the run file, and 1 GiB
        "job_cpu": THREADS,
        "cores": 1,  # as dask sees it: one task at a time
        "processes": 1,
        "worker_extra_args": [
            *("--memory-limit", "0"),  # the plan keeps to the budget
            *("--dashboard-address", "127.0.0.1:0", "--no-dashboard"),
            *("--lifetime", "225m", "--lifetime-stagger", "5m"),  # go before SLURM ends the job
        ],
        "job_script_prologue": [f"source {HERE.parent / 'environment.sh'}"],
        "log_directory": "slurm-logs",
    }
    return SLURMCluster(
        **of_a_job | changes,
        scheduler_options={"dashboard_address": "127.0.0.1:0"},
        security=Security(
            require_encryption=True,
            tls_ca_file=str(certificates / "ca.pem"),
            **{f"tls_{role}_cert": cert for role in ("client", "scheduler", "worker")},
            **{f"tls_{role}_key": key for role in ("client", "scheduler", "worker")},
        ),
    )


def run(cluster: SLURMCluster, certificates: Path, jobs: int, arguments: list[str]) -> int:
    """Run with so many jobs; return the exit code."""
    cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # `scale` would not replace those that end
    cluster.wait_for_workers(1)  # however long the queue is
    where = {"scheduler": cluster.scheduler_address}
    where |= {f"tls.{name}": str(certificates / f"{name}.pem") for name in ("ca", "cert", "key")}
    settings = [word for name, value in where.items() for word in ("--set", f"compute.{name}={value}")]
    return preimage(["run", *arguments, *settings])


if __name__ == "__main__":
    with make_cluster(CERTIFICATES) as cluster:
        sys.exit(run(cluster, CERTIFICATES, JOBS, sys.argv[1:]))
