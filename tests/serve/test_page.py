"""The web page, in headless Chromium: what a person does there, and what comes of it."""

import base64
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("selenium", reason="needs selenium")
import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from ppocr_jax import OCR
from ppocr_jax.document.page import Page
from ppocr_jax.serve.app import create_app
from ppocr_jax.serve.settings import ServerSettings
from tests.serve.clients import tiff

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "needs Chromium (apt-get install chromium chromium-driver)"
pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING)

EXAMPLES = Path(__file__).parents[2] / "examples"
SIGN = EXAMPLES / "sign.jpg"
FORM = EXAMPLES / "form.jpg"  # the two languages read it differently
# Where `npm install axe-core` has put it; the test of accessibility is left out without it.
AXE = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))


@pytest.fixture(scope="module")
def address():
    settings = ServerSettings(models=("en", "ch"), max_upload_mib=1, max_held_mib=8, threads=2)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--window-size=1200,900")
    options.set_capability("goog:loggingPrefs", {"browser": "WARNING", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.downloads = tmp_path_factory.mktemp("downloads")
    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior",
        {"behavior": "allow", "downloadPath": str(driver.downloads), "eventsEnabled": True},
    )
    permissions = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    driver.execute_cdp_cmd("Browser.grantPermissions", permissions)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, address):
    """The page, opened anew."""
    browser.get(address)
    until(lambda: Select(at(browser, "model")).options)
    return browser


def at(browser, name):
    return browser.find_element(By.ID, name)


def lines(browser):
    """Return the texts of all lines by one script, so that the page does not change meanwhile."""
    return browser.execute_script("return [...document.querySelectorAll('#lines button')].map(b => b.textContent)")


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)
    return value


def read(browser, path):
    at(browser, "file").send_keys(str(path))
    until(lambda: at(browser, "status").text.endswith(("page.", "pages.", "found.")))


def problem(browser):
    return until(lambda: at(browser, "problem").text)


def test_a_image_is_read_shown_and_taken_away(page):
    expected = OCR("en").single_threaded()(SIGN)
    read(page, SIGN)
    assert lines(page) == [line.text for line in expected]
    assert at(page, "status").text == f"{len(expected)} lines on 1 page."
    shown = page.execute_script("return [image.naturalWidth / image.naturalHeight, image.alt]")
    assert shown[0] == pytest.approx(expected.width / expected.height, rel=0.01)
    assert str(len(expected)) in shown[1]
    polygons = page.find_elements(By.CSS_SELECTOR, "#boxes polygon")
    points = [[float(v) for v in polygon.get_attribute("points").replace(",", " ").split()] for polygon in polygons]
    assert points == [[v for point in line["quad"] for v in point] for line in expected.to_dict()["lines"]]

    buttons = page.find_elements(By.CSS_SELECTOR, "#lines button")
    ActionChains(page).move_to_element(buttons[1]).perform()
    assert "near" in polygons[1].get_attribute("class")
    ActionChains(page).move_to_element(polygons[2]).click().perform()
    assert "near" in buttons[2].get_attribute("class")
    assert "near" not in buttons[1].get_attribute("class")
    assert page.switch_to.active_element == buttons[2]
    assert "chosen" in buttons[2].get_attribute("class")
    page.switch_to.active_element.send_keys(Keys.ARROW_UP)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert "chosen" in polygons[1].get_attribute("class")
    assert "chosen" not in polygons[2].get_attribute("class")

    at(page, "copy").click()
    until(lambda: at(page, "status").text == "Text copied.")
    assert page.execute_async_script("navigator.clipboard.readText().then(arguments[0])") == expected.text
    at(page, "save-json").click()
    saved = json.loads(until(lambda: _whole(page.downloads / "sign.json")))
    assert Page.from_dict(saved["pages"][0]).text == expected.text
    assert saved["model"] == "en"
    at(page, "save-pdf").click()
    assert until(lambda: _whole(page.downloads / "sign.pdf")).startswith(b"%PDF-")


def test_doubtful_words_are_marked_and_doubtful_lines_shaded(page):
    read(page, EXAMPLES / "receipt.jpg")
    expected = OCR("en").single_threaded()(EXAMPLES / "receipt.jpg")
    marked = [mark.text for mark in page.find_elements(By.CSS_SELECTOR, "#lines mark")]
    assert marked == [word.text for word in expected.words if word.confidence < 0.8]
    shades = page.execute_script(
        "return [...document.querySelectorAll('#lines button')].map(b => +b.style.getPropertyValue('--doubtful'))"
    )
    assert shades == pytest.approx([min(1, 2 * (1 - line.confidence)) for line in expected], abs=0.01)


def test_the_other_language_reads_again(page):
    read(page, FORM)
    before = lines(page)
    Select(at(page, "model")).select_by_value("ch")
    expected = [line.text for line in OCR("ch").single_threaded()(FORM)]
    assert expected != before
    until(lambda: lines(page) == expected)


def test_pages_of_a_document_come_one_after_the_other(page, tmp_path):
    (tmp_path / "three.tif").write_bytes(tiff([250, 240, 230]))
    read(page, tmp_path / "three.tif")
    assert "1 of 3" in at(page, "page-number").text
    assert at(page, "previous").get_attribute("disabled")
    at(page, "next").click()
    at(page, "next").click()
    assert "Page 3" in at(page, "page-number").text
    assert at(page, "next").get_attribute("disabled")
    pages = at(page, "pages")
    pages.send_keys("2" + Keys.ENTER)
    until(lambda: "Page 2" in page.execute_script("return image.alt"))
    assert not at(page, "page-choice").is_displayed()


def test_errors_are_said_and_the_next_file_is_read(page, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    at(page, "file").send_keys(str(tmp_path / "notes.txt"))
    assert "not a readable image" in problem(page)
    assert at(page, "problem").get_attribute("role") == "alert"
    (tmp_path / "large.png").write_bytes(bytes(2**20 + 1))
    at(page, "file").send_keys(str(tmp_path / "large.png"))
    until(lambda: "takes 1 MiB" in at(page, "problem").text)
    (tmp_path / "cut.jpg").write_bytes(SIGN.read_bytes()[:5000])
    at(page, "file").send_keys(str(tmp_path / "cut.jpg"))
    until(lambda: "damaged" in at(page, "problem").text)
    assert not at(page, "result").is_displayed()
    read(page, SIGN)
    assert not at(page, "problem").is_displayed()
    page.execute_script("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    at(page, "again").click()
    assert "does not answer" in problem(page)


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_images_are_pasted_and_dropped(page, event):
    page.execute_script(
        """
        const [data, event] = arguments;
        const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
        const carried = new DataTransfer();
        carried.items.add(new File([bytes], "sign.jpg", { type: "image/jpeg" }));
        const made = event === "paste" ? new ClipboardEvent("paste", { clipboardData: carried })
          : new DragEvent("drop", { dataTransfer: carried, cancelable: true });
        document.dispatchEvent(made);
        """,
        base64.b64encode(SIGN.read_bytes()).decode(),
        event,
    )
    until(lambda: "lines on 1 page" in at(page, "status").text)
    assert lines(page)


def test_a_narrow_screen_needs_no_scrolling_sideways(page):
    read(page, SIGN)
    size = page.get_window_size()
    metrics = {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        width = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        order = page.execute_script("return sheet.getBoundingClientRect().bottom <= lines.getBoundingClientRect().top")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.set_window_size(size["width"], size["height"])
    assert width[0] <= width[1] == 320
    assert order


def test_nothing_is_asked_of_other_hosts_and_nothing_is_amiss(page, address):
    page.get_log("performance")
    page.get_log("browser")
    page.get(address)
    read(page, SIGN)
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert any(url.startswith(f"{address}ocr") for url in urls)
    assert [url for url in urls if not url.startswith((address, "blob:", "data:"))] == []
    assert page.get_log("browser") == []  # no error, and nothing that the content security policy stopped


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page, scheme):
    if not AXE.is_file():
        pytest.skip("needs axe-core (npm install axe-core, AXE_CORE=.../axe.min.js)")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.execute_script(AXE.read_text(encoding="utf-8"))
    run = "axe.run(document, {resultTypes: ['violations']}).then((found) => arguments[0](found.violations))"

    def violations():
        return [(found["id"], found["nodes"][0]["html"]) for found in page.execute_async_script(run)]

    assert violations() == []
    read(page, EXAMPLES / "receipt.jpg")
    page.find_element(By.CSS_SELECTOR, "#lines button").click()
    assert violations() == []
    at(page, "pages").send_keys("9" + Keys.ENTER)
    problem(page)
    assert violations() == []


def test_a_token_is_asked_for(browser):
    settings = ServerSettings(models=("en",), token="sesame", threads=1)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        browser.get(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/")
        until(lambda: at(browser, "token").is_displayed())
        at(browser, "file").send_keys(str(SIGN))
        assert "token" in problem(browser)
        at(browser, "token").send_keys("sesame" + Keys.ENTER)
        until(lambda: "lines on 1 page" in at(browser, "status").text)
    finally:
        server.should_exit = True
        thread.join()


def _whole(path):
    return path.read_bytes() if path.is_file() else b""
