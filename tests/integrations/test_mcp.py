"""The MCP server, asked by the official client: in this process, and over the pipes of one of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("mcp.server.mcpserver", reason="needs the extra mcp")
from mcp import Client, StdioServerParameters

from ppocr_jax import OCR
from ppocr_jax.errors import UserError
from ppocr_jax.integrations.mcp_server import McpSettings, make_server
from tests.helpers import damaged_tiff
from tests.serve.clients import png, tiff

ROOT = Path(__file__).parents[2]
SIGN = ROOT / "examples" / "sign.jpg"


def ask(server, tool, **arguments):
    """Whether it is an error, and the answer's text."""

    async def run():
        async with Client(server) as client:
            result = await client.call_tool(tool, arguments)
            return bool(result.is_error), result.content[0].text

    return asyncio.run(run())


@pytest.fixture
def folder(tmp_path):
    """The server's folder, with secrets beside it."""
    root = tmp_path / "root"
    (root / "deeper").mkdir(parents=True)
    (root / "deeper" / "sign.jpg").write_bytes(SIGN.read_bytes())
    (root / "pages.tif").write_bytes(tiff([255] * 4))
    (tmp_path / "secret.png").write_bytes(png(9))
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    return root


@pytest.fixture(scope="module")
def ocr():
    return OCR("en")


def test_a_image_is_read(folder, ocr):
    server = make_server(McpSettings(folder), load=lambda name: ocr)
    expected = ocr(SIGN)
    assert ask(server, "read_image", path="deeper/sign.jpg") == (False, expected.text + "\n")
    error, text = ask(server, "read_image", path="deeper/sign.jpg", format="json")
    assert not error
    assert [line["text"] for line in json.loads(text)["lines"]] == [line.text for line in expected]
    assert json.loads(text)["image"] == "deeper/sign.jpg"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("../secret.png", "not below"),
        ("/etc/passwd", "not below"),
        ("link.png", "not below"),
        ("deeper/../../secret.png", "not below"),
        ("nothing.png", "no such file"),
        ("deeper", "no such file"),
        ("a\0b", "not a path"),
        ("pages.tif", "limit of 3"),
        ("large.png", "larger than 1 MiB"),
        ("notes.txt", "not a readable image"),
        ("wide.png", "too large"),
    ],
)
def test_what_is_refused(folder, path, says):
    (folder / "large.png").write_bytes(bytes(2**20 + 1))
    (folder / "notes.txt").write_text("hello")
    (folder / "wide.png").write_bytes(png(1, (200, 200)))
    limits = McpSettings(folder, max_pages=3, max_pixels=10_000, max_file_mib=1)

    def never(name):
        raise AssertionError("nothing of this is read")

    error, text = ask(
        make_server(limits, load=never) if path != "wide.png" else make_server(limits), "read_pdf", path=path
    )
    assert error
    assert says in text
    assert str(folder.parent) not in text.replace(path, "")


def test_a_broken_page_does_not_hide_the_others(folder, ocr):
    sign = Image.open(SIGN)
    path = folder / "three.tif"
    sign.save(path, save_all=True, append_images=[sign, sign], compression="tiff_adobe_deflate")
    path.write_bytes(damaged_tiff(path.read_bytes(), 1))
    server = make_server(McpSettings(folder), load=lambda name: ocr)
    error, text = ask(server, "read_pdf", path="three.tif")
    assert not error
    assert text.count("MORNING STAR") == 2
    assert "(page 2 could not be read: the image page 2 is damaged" in text
    pages = json.loads(ask(server, "read_pdf", path="three.tif", format="json")[1])
    assert [(page["page"], "error" in page) for page in pages] == [(1, False), (2, True), (3, False)]
    error, text = ask(server, "read_pdf", path="three.tif", pages="2")
    assert error
    assert "is damaged" in text


def test_long_answers_are_cut_off_and_say_so(folder, ocr):
    server = make_server(McpSettings(folder, max_characters=10), load=lambda name: ocr)
    _, text = ask(server, "read_image", path="deeper/sign.jpg")
    assert text.startswith(ocr(SIGN).text[:10])
    assert "cut off after 10" in text
    assert ask(server, "read_pdf", path="pages.tif", pages="1") == (False, "(no text was found)")


def test_the_root_must_be_a_folder(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        make_server(McpSettings(tmp_path / "missing"))


def test_over_standard_input_and_output():
    command = ["-m", "ppocr_jax", "mcp", "--root", str(ROOT / "examples")]
    server = StdioServerParameters(command=sys.executable, args=command, cwd=str(ROOT), env=dict(os.environ))

    async def run():
        async with Client(server) as client:
            tools = await client.list_tools()
            result = await client.call_tool("read_image", {"path": "sign.jpg"})
            return [tool.name for tool in tools.tools], result.content[0].text

    names, text = asyncio.run(run())
    assert sorted(names) == ["read_image", "read_pdf"]
    assert text == OCR("en")(SIGN).text + "\n"


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_while_it_waits_for_input(number):
    command = [sys.executable, "-m", "ppocr_jax", "mcp", "--root", "examples"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        try:
            server.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
            server.stdin.flush()
            assert b'"id":1' in server.stdout.readline()
            server.send_signal(number)
            assert server.wait(timeout=20) == -number
        finally:
            server.kill()
