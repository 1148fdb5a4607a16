"""A page in a browser, and what it shows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.analysis.explorer.pages import data_of


class Shown:
    """A page in a browser."""

    def __init__(self, browser: Any, path: Path, downloads: Path) -> None:
        self.browser = browser
        self.path = path
        self.downloads = downloads
        self.data = data_of(path.read_text())

    def open(self, state: str = "") -> None:
        """Opens the page anew, with a state in its address."""
        self.browser.get("about:blank")
        self.browser.get(f"{self.path.as_uri()}{state}")

    def script(self, text: str, *arguments: Any) -> Any:
        return self.browser.execute_script(text, *arguments)

    def text(self, css: str) -> str:
        return str(
            self.script("return document.querySelector(arguments[0]).textContent", css)
        )

    def each(self, css: str, expression: str) -> list[Any]:
        """Returns what an expression of ``e`` gives for each element that fits."""
        found: list[Any] = self.script(
            f"const elements = document.querySelectorAll(arguments[0]);"
            f"return [...elements].map((e) => {expression})",
            css,
        )
        return found

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    @property
    def hash(self) -> str:
        return str(self.script("return location.hash"))

    def counts(self, network: int = 0) -> dict[str, list[int]]:
        """Returns what the page counts: for each stage, and last in all."""
        rows = "document.querySelectorAll('#counts table')[arguments[0]]"
        return {
            what: self.script(
                f"return [...{rows}.querySelectorAll('td[data-' + arguments[1] + ']')]"
                ".map((cell) => Number(cell.dataset[arguments[1]]))",
                network,
                what,
            )
            for what in ("open", "dead", "saved")
        }

    def downloaded(self, name: str) -> Path:
        path = self.downloads / name
        for _ in range(100):
            if path.exists():
                return path
            time.sleep(0.05)
        raise AssertionError(f"no {name} in {list(self.downloads.iterdir())}")

    @contextmanager
    def wide(self, width: int) -> Iterator[None]:
        """Makes the window so wide for a while."""
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1}
        emulate = self.browser.execute_cdp_cmd
        emulate("Emulation.setDeviceMetricsOverride", {**screen, "mobile": False})
        try:
            yield
        finally:
            emulate("Emulation.clearDeviceMetricsOverride", {})
