"""Bulk reading by Ray, on a cluster of two nodes that are both this machine; a worker is killed midway."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs the extra bulk")
pytest.importorskip("psutil", reason="needs psutil")
import psutil

from ppocr_jax import OCR
from ppocr_jax.bulk.parts import BulkOutput
from ppocr_jax.bulk.run import BulkSettings, run_bulk

SIGN = Path(__file__).parents[2] / "examples" / "sign.jpg"
DOCUMENTS = 40


@pytest.mark.slow
def test_a_killed_worker_costs_no_page_and_doubles_none(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray = pytest.importorskip("ray", reason="needs the extra bulk")
    from ray.cluster_utils import Cluster

    (tmp_path / "scans").mkdir()
    for number in range(DOCUMENTS):
        (tmp_path / "scans" / f"{number}.jpg").write_bytes(SIGN.read_bytes() + b"\0" * number)
    (tmp_path / "scans" / "broken.jpg").write_bytes(SIGN.read_bytes()[:3000])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    killed = []

    def kill_one():
        """Once two parts are written, the process of one actor."""
        parts = tmp_path / "out"
        while not (parts.is_dir() and len(list(parts.glob("part-*"))) >= 2):
            time.sleep(0.05)
        workers = _workers()
        os.kill(workers[0], signal.SIGKILL)
        killed.append(workers[0])

    try:
        ray.init(cluster.address, log_to_driver=False)
        assert len([node for node in ray.nodes() if node["Alive"]]) == 2
        threading.Thread(target=kill_one, daemon=True).start()
        tally = run_bulk([str(tmp_path / "scans")], str(tmp_path / "out"), settings=BulkSettings(), engine="ray")
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert killed
    assert tally.errors == 1
    rows = list(BulkOutput(str(tmp_path / "out"), "parquet", words=False).rows())
    names = sorted(Path(row["image"]).name for row in rows)
    assert names == sorted([*(f"{number}.jpg" for number in range(DOCUMENTS)), "broken.jpg"])
    expected = OCR("en", threads=1)(SIGN).text
    assert {row["text"] for row in rows if not row["error"]} == {expected}


def _workers():
    """Processes of the pool's actors."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if "_RayReader" in " ".join(process.info["cmdline"] or []):
            found.append(process.info["pid"])
    return found
