"""The HTML report in a real browser: Debian's Chromium, headless."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

import slimmer
from slimmer.inspection import Inspection, Share, Table
from slimmer.report import SourceFacts
from slimmer.reports import inspection_page, put, write

from reported import HOSTILE, reported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver

PAGE = Path(slimmer.__file__).parent / "reports" / "page"
SHOWN = "return [...document.querySelectorAll('#changes tbody tr')].map(row => row.cells[0].textContent)"


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    """Give a browser without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.fixture
def shown(browser: WebDriver, tmp_path: Path) -> Callable[..., WebDriver]:
    """Give a function that shows a report, WIDTH pixels wide, in light or dark."""

    def show(width: int = 1200, scheme: str = "light", files: int = 30, **more: Any) -> WebDriver:
        write(reported(files, **more), tmp_path / "r.html")
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.get((tmp_path / "r.html").as_uri())
        return browser

    return show


def typed(browser: WebDriver, text: str) -> list[str]:
    """Type into the search of the changes and give the paths that are left."""
    field = browser.find_element("css selector", "#changes input")
    field.send_keys(Keys.CONTROL + "a")
    field.send_keys(Keys.DELETE)
    field.send_keys(text)
    found: list[str] = browser.execute_script(SHOWN)
    return found


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (400, "light")])
def test_it_renders_without_a_word_in_the_console(shown: Callable[..., WebDriver], width: int, scheme: str) -> None:
    """No error, no request to anywhere, nothing wider than the screen; the treemap has drawn something."""
    browser = shown(width, scheme)

    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
    requests = [str(entry["message"]) for entry in browser.get_log("performance")]  # type: ignore[no-untyped-call]
    urls = {url for message in requests for url in re.findall(r'"url":"(\w+:[^"]{0,20})', message)}
    assert {url.partition(":")[0] for url in urls} <= {"file", "about", "data"}
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    colours = browser.execute_script(
        "const canvas = document.querySelector('#map canvas');"
        "const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        "const found = new Set(); for (let at = 0; at < pixels.length; at += 400) found.add(pixels.slice(at, at + 3).join());"
        "return found.size"
    )
    assert colours > 3


def test_dark_mode_is_dark_and_light_is_light(shown: Callable[..., WebDriver]) -> None:
    """Text stands out from its background in both, by the contrast that WCAG 2.1 asks of text (1.4.3: 4.5)."""
    for scheme in ("light", "dark"):
        browser = shown(scheme=scheme)
        for selector in ("body", "#subtitle", "#state", ".hint", "button[aria-pressed=true]", "#checks .bad", "th"):
            colours = browser.execute_script(
                "const element = document.querySelector(arguments[0]); const text = getComputedStyle(element).color;"
                "let at = element; const clear = 'rgba(0, 0, 0, 0)';"
                "while (getComputedStyle(at).backgroundColor === clear) at = at.parentElement;"
                "return [text, getComputedStyle(at).backgroundColor]",
                selector,
            )
            first, second = sorted(map(luminance, colours), reverse=True)
            assert (first + 0.05) / (second + 0.05) >= 4.5, (scheme, selector, colours)


def luminance(colour: str) -> float:
    """Give the relative luminance of a colour, as WCAG 2.1 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_changes_can_be_searched(shown: Callable[..., WebDriver]) -> None:
    """Words narrow the rows, all of them must be there, a rule can be chosen, and the count says what is left."""
    browser = shown(files=200)

    assert typed(browser, "big.so") == ["/lib/big.so"]
    assert typed(browser, "LIB layout") == ["/lib/big.so"]
    assert typed(browser, "lib nothing") == []
    assert len(typed(browser, "")) == 25
    browser.execute_script("[...document.querySelectorAll('#changes button')].at(-1).click()")
    assert len(browser.execute_script(SHOWN)) == 102
    browser.execute_script(
        "const select = document.querySelector('#changes select'); select.value = 'uv_cache'; select.dispatchEvent(new Event('change'))"
    )
    assert browser.execute_script(SHOWN) == ["/cache"]
    assert browser.find_element("css selector", "#changes [role=status]").text == "1 of 102"


def test_the_treemap_shows_before_and_after_and_zooms(shown: Callable[..., WebDriver]) -> None:
    """The buttons change what is drawn, hovering says what a file becomes, and a click goes into a directory."""
    browser = shown()
    total = "return slimmerChart.getOption().series[0].data.reduce((sum, node) => sum + node.value, 0)"
    before = browser.execute_script(total)
    browser.execute_script("document.querySelectorAll('#modes button')[1].click()")
    report = reported()

    assert (before, browser.execute_script(total)) == (report.source.flattened_size, report.estimate.size)
    browser.execute_script("document.querySelectorAll('#modes button')[0].click()")
    time.sleep(0.6)  # what is drawn moves to its place for 0.3 s
    pixels = "return document.querySelector('#map canvas').toDataURL()"
    drawn = browser.execute_script(pixels)
    area = browser.find_element("id", "map")
    # The library is the largest file, so it is at the left.
    pointer = ActionChains(browser).move_to_element_with_offset(area, -area.size["width"] // 4, 0)
    pointer.perform()
    WebDriverWait(browser, 5).until(lambda found: found.find_elements("css selector", "#map .tip"))
    tip = browser.find_element("css selector", "#map .tip").get_attribute("textContent")
    assert tip == "/lib/big.so100 kB → 60.0 kB, 40.0 kB saved; 1 file"
    pointer.click().perform()
    time.sleep(0.6)
    assert browser.execute_script(pixels) != drawn
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_checks_show_both_outputs(shown: Callable[..., WebDriver]) -> None:
    """A failed check is open, and what each image printed stands beside the other."""
    browser = shown()
    outputs = [element.text for element in browser.find_elements("css selector", "#checks details[open] pre")]

    assert outputs[0].startswith("1.5\n</script><img")
    assert outputs[1] == "2.5\nnan"
    assert browser.find_element("id", "state").text == "CHECK FAILED"


def test_what_an_image_names_is_text(shown: Callable[..., WebDriver]) -> None:
    """A name that ends scripts, begins markup or turns the writing round is shown as it is and does nothing."""
    browser = shown()

    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    assert "<img src=x onerror=alert(1)>" in browser.find_element("id", "kept").text
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
    assert HOSTILE[-1] not in browser.page_source


def test_a_page_of_eighty_thousand_files_stays_small(shown: Callable[..., WebDriver], tmp_path: Path) -> None:
    """Less than 3 MB, of which the charts are 0.45, and it can still be searched."""
    browser = shown(files=80_000)

    assert (tmp_path / "r.html").stat().st_size < 3_000_000
    assert typed(browser, "/many/100/*") == ["/many/100/*"]


def test_the_page_of_an_inspection_shows_tables_and_nothing_of_a_run(browser: WebDriver, tmp_path: Path) -> None:
    """The map, the tables with their largest rows, the rest at a click; no sections without anything in them."""
    root = reported(200).plan.source
    shares = tuple(Share(f"distribution {number}", 1000 - number, 1) for number in range(40))
    tables = (Table("distributions", "Python distributions", "distribution", shares),)
    source = SourceFacts("app:1.4", "sha256:1", 10, 9, 3, "linux/amd64")
    found = Inspection(source, root, tables, (), (("lib/big.so", 100_000),))
    put(inspection_page.render(found), tmp_path / "i.html")

    browser.get((tmp_path / "i.html").as_uri())

    headings = [element.text for element in browser.find_elements("css selector", "h2") if element.is_displayed()]
    assert headings == ["Where the bytes are", "Python distributions", "Largest files", "Facts"]
    rows = "#tables > div:first-child tbody tr"
    assert len(browser.find_elements("css selector", rows)) == 15
    browser.find_element("css selector", "#tables .more").click()
    assert len(browser.find_elements("css selector", rows)) == 40
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_the_charts_are_what_the_script_makes() -> None:
    """tools/echarts.sh makes these very bytes; whoever changes it or them notes the new hash here."""
    digest = hashlib.sha256((PAGE / "echarts.js").read_bytes()).hexdigest()
    licences = (PAGE / "echarts-LICENSES.txt").read_text("utf-8")

    assert digest == "3b9402c4e23733287ee436576e231804fa42bb05bcf0d5733a78c00bf422f118"
    assert "Apache License" in licences
    assert "Redistributions in binary form" in licences
