"""`ppocr-jax serve` as users start it: processes, sockets and signals."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="needs the extra serve")

from ppocr_jax.cli import main
from tests.serve.processes import ROOT, serving

RECEIPT = ROOT / "examples" / "receipt.jpg"


def post(address, data=None):
    request = urllib.request.Request(f"{address}/ocr", data or RECEIPT.read_bytes(), {"accept": "text/plain"})
    request.add_header("content-type", "image/jpeg")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_server_answers_what_it_began_and_ends_with_0(number):
    with serving("--threads", "1") as (address, process):
        assert address.startswith("http://127.0.0.1:")
        texts = []
        client = threading.Thread(target=lambda: texts.append(post(address)))
        client.start()
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as half:  # a client that sends half of what it promised
            half.sendall(b"POST /ocr HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhalf")
            time.sleep(0.3)
        process.send_signal(number)
        client.join()
        assert process.wait(20) == 0
        assert "BLUE HERON" in texts[0]
        log = process.stderr.read()
    assert "POST 200" in log
    assert "BLUE" not in log
    assert "Traceback" not in log


def test_what_is_not_read_in_time_when_the_server_stops_is_to_be_tried_again():
    document = io.BytesIO()
    with Image.open(RECEIPT) as page:
        page.save(document, "TIFF", save_all=True, append_images=[page] * 60, compression="jpeg")
    with serving("--threads", "1", "--grace-seconds", "1") as (address, process):
        answers = []

        def client() -> None:
            try:
                answers.append(post(address, document.getvalue()))
            except urllib.error.HTTPError as error:
                answers.append((error.code, error.headers["retry-after"], json.load(error)["detail"]))

        asking = threading.Thread(target=client)
        asking.start()
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        asking.join()
        assert process.wait(20) == 0
        assert answers == [(503, "10", "the server stopped before it had read this; try again")]
        log = process.stderr.read()
    assert "POST 503" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "nowhere"], "nowhere"),
        (["--queue", "0"], "queue"),
        (["--read-seconds", "0"], "read_seconds"),
        (["--token-file", "missing.txt"], "missing.txt"),
        (["--host", "203.0.113.1", "--port", "0"], "203.0.113.1"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(arguments, says, capsys):
    try:
        code = main(["serve", *arguments])
    except SystemExit as error:  # argparse
        code = error.code
    assert code in (1, 2)
    assert says in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_a_killed_worker_is_replaced_while_the_other_serves():
    with serving("--workers", "2", "--threads", "1") as (address, process):
        workers = _children(process.pid)
        serving_now = [pid for pid in workers if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        assert len(serving_now) == 2
        os.kill(serving_now[0], signal.SIGKILL)
        answers = []
        for _ in range(12):
            try:
                answers.append("BLUE HERON" in post(address))
            except OSError:  # a connection that the dead worker had taken
                answers.append(False)
        assert answers.count(True) >= 11
        deadline = time.monotonic() + 60
        while len(set(_children(process.pid)) - set(workers)) < 1:
            assert time.monotonic() < deadline, "no new worker"
            time.sleep(0.2)
        assert all("BLUE HERON" in post(address) for _ in range(4))
        metrics = urllib.request.urlopen(f"{address}/metrics", timeout=30).read().decode()
        assert f'ppocr_requests_total{{status="200"}} {answers.count(True) + 4}.0' in metrics
        assert "ppocr_requests_in_flight 0.0" in metrics


@pytest.mark.slow
def test_schemathesis_finds_no_fault():
    """Thousands of requests made from the OpenAPI document: no 5xx, and every answer is one of those described."""
    program = shutil.which("schemathesis")
    if program is None:
        pytest.skip("needs the program schemathesis")
    # Not `positive_data_acceptance`: bytes made from "format: binary" are no images, and are rightly refused.
    checks = ["--checks", "all", "--exclude-checks", "positive_data_acceptance"]
    limits = ["--max-pixels", "1000000", "--read-seconds", "20"]
    with serving(*limits, PPOCR_JAX_TOKEN="sesame") as (address, process):
        run = subprocess.run(
            [program, "run", f"{address}/openapi.json", "-H", "Authorization: Bearer sesame", *checks, "--no-color"],
            capture_output=True,
            check=False,
            text=True,
            timeout=1500,
        )
        assert run.returncode == 0, run.stdout[-6000:]
        assert process.poll() is None


def _children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
