"""What the Dockerfile does, without Docker: its wheel in an empty environment serves, and its health check agrees."""

import json
import os
import re
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()


def argument(instruction):
    """What follows the last such instruction."""
    return [line.split(" ", 1)[1] for line in LINES if line.startswith(instruction + " ")][-1]


def test_the_image_does_not_run_as_root_and_knows_when_it_is_ill():
    assert re.fullmatch(r"[1-9]\d*", argument("USER"))
    assert "/ready" in argument("HEALTHCHECK")
    assert json.loads(argument("CMD"))[:1] == ["serve"]


@pytest.mark.slow
def test_its_steps_give_a_server(tmp_path):
    """In a folder with the files that .dockerignore lets through, and with no package but those it installs."""
    source, target = tmp_path / "src", tmp_path / "venv"
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    source.mkdir()
    subprocess.run(["cp", "-r", *[str(ROOT / name) for name in allowed if (ROOT / name).exists()], source], check=True)
    venv.create(target, with_pip=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment["PATH"] = f"{target}/bin:{environment['PATH']}"
    for step in (line.removeprefix("RUN ") for line in LINES if line.startswith("RUN pip")):
        command = step.replace("/wheels", str(tmp_path / "wheels"))
        subprocess.run(command, shell=True, cwd=source, env=environment, check=True, capture_output=True, timeout=900)
    entry = [*json.loads(argument("ENTRYPOINT")), *json.loads(argument("CMD"))]
    entry[entry.index("0.0.0.0")] = "127.0.0.1"  # no test opens a port to others
    health = json.loads(argument("HEALTHCHECK").split("CMD ")[1])
    server = subprocess.Popen(entry, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while subprocess.run(health, env=environment, capture_output=True, check=False).returncode:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
        image = ROOT / "examples" / "sign.jpg"
        post = "import sys, urllib.request as u; print(u.urlopen(u.Request('http://127.0.0.1:8000/ocr', "
        post += (
            "open(sys.argv[1], 'rb').read(), {'accept': 'text/plain', 'content-type': 'image/jpeg'})).read().decode())"
        )
        read = subprocess.run([sys.executable, "-c", post, image], capture_output=True, text=True, check=True)
        assert "MORNING STAR" in read.stdout
    finally:
        server.terminate()
        assert server.wait(30) == 0
