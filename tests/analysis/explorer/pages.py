"""Small pages, and what is in them."""

import base64
import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
from jaxtyping import Float

from ddw_graph.analysis.explorer.explore import explorer_page
from ddw_graph.nn.network import Network
from ddw_graph.training.collection import StageEdges
from tests.analysis.test_collect import some_model
from tests.training.small import small_data

HOSTILE = (
    "</script><img src=x onerror=\"document.title='owned'\">",
    "<!--<script>",
    "@data@ \u2028 ${1} 'b\" & <b>bold</b>",
)
SAMPLES = 24
CLOSING = "dynamic:router_std=1,bias=0,gate=hard,threshold=0.5"


def decoded(text: str) -> np.ndarray:
    """Returns the numbers of ``encoded``, in one row."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


def small_page(*networks: Network, samples: int = SAMPLES, test: int = 30) -> str:
    """Returns a page of a few images, by default of one network that closes edges."""
    data = replace(small_data(test=test), classes=HOSTILE)
    chosen = networks or (some_model(CLOSING),)
    names = ("<i>one</i>", "two")
    return explorer_page(dict(zip(names, chosen, strict=False)), data, samples=samples)


class Reader(HTMLParser):
    """Keeps a page's elements, and what its scripts, styles and data hold."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = f"{tag} {dict(attrs).get('id', '')}".strip()

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        self.texts[self.inside] = self.texts.get(self.inside, "") + data


def read(page: str) -> Reader:
    """Returns what a parser of HTML finds in a page."""
    reader = Reader()
    reader.feed(page)
    return reader


def data_of(page: str) -> Any:
    """Returns what a page holds."""
    return json.loads(read(page).texts["script data"])


def stage_of(
    known: Any, samples: int
) -> tuple[StageEdges, Float[np.ndarray, "samples edges"]]:
    """Returns a stage as the page holds it, and its weights."""
    stage = StageEdges(
        known["nodes"],
        np.array(known["edges"]),
        np.array(known["constant"]),
        np.array(known["nodeMacs"]),
        np.array(known["edgeMacs"]),
    )
    return stage, decoded(known["weights"]).reshape(samples, -1)


def class_means(weights: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns the mean weight of each edge over the samples of each class."""
    exact = weights.astype(np.float64)
    return np.array([exact[labels == label].mean(0) for label in range(classes)])
