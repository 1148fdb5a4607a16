"""The costs of the networks, compared with the paper's Tables 1 and 2."""

from collections.abc import Iterator
from typing import Any

from ddw_graph.models.backbones import NoData
from ddw_graph.models.create import create_model, image_size
from ddw_graph.models.paper import paper_figures
from ddw_graph.nn.cost import NetworkCost, cost

KINDS = ("fixed", "learned", "dynamic")
"""The kinds of edges that are priced: the paper's."""

TABLE_1 = {
    "mobilenet_v2": "MobileNetV2-1.0",
    "resnet18": "ResNet18",
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnext50_32x4d": "ResNeXt50-32x4d",
    "regnet_x_600mf": "RegNet-X-600M",
    "regnet_x_1_6gf": "RegNet-X-1600M",
    "efficientnet_b0": "EfficientNet-B0",
}
"""The networks of Table 1 under the paper's names."""

READING = (
    "Parameters: the complete DAG of branches, N = blocks + 2 nodes a stage, a router "
    "on the stage's output width at every node but the last, and a 1x1 projection "
    "where width or stride change and the backbone has none.",
    "Layer MACs: convolutions and fully connected layers for one 224x224 image; the "
    "sums, the routers and their pooling are in a column of their own, total.",
    "The paper's differences from its own baselines: +13M (MobileNetV2) and +12M "
    "(EfficientNet) are the projections, 13.1M and 14.8M here. +1M and +2M (RegNet) "
    "are less than the sums cost, 3.5M and 9.2M here, so the paper does not count "
    "those. We found no reading that gives the other four, +13M, +38M, +38M and +77M "
    "(ResNets, ResNeXt): ResNet-50 and ResNeXt-50 have stages of the same widths and "
    "sizes, so edges, routers and projections cost the same in both (27.9M here, "
    "everything counted), and ResNet-101's 17 additional blocks cost nothing in the "
    "paper (58.3M here).",
)
"""The reading of the paper that gives our figures, and what it leaves open."""


def prices(name: str) -> dict[str, NetworkCost]:
    """Returns the cost of a network with each kind of edges and its default wiring.

    Example:
        >>> {edges: price.parameters for edges, price in prices("resnet18").items()}
        {'fixed': 11689512, 'learned': 11689536, 'dynamic': 11695308}
    """
    return {edges: _price(name, edges, image_size(name)) for edges in KINDS}


def _price(name: str, edges: str, size: int | tuple[int, int]) -> NetworkCost:
    with NoData():  # a cost does not depend on the weights
        model = create_model(name, edges=edges)
    return cost(model, size)


def _variants(
    networks: dict[str, str], size: int | tuple[int, int]
) -> Iterator[tuple[str, str, str, NetworkCost]]:
    """Yields our name, the paper's, the variant, and its cost at an image size."""
    for name, paper_name in networks.items():
        for variant, edges in (("baseline", "fixed"), ("ddw", "dynamic")):
            yield name, paper_name, variant, _price(name, edges, size)


def table1() -> Iterator[dict[str, Any]]:
    """Yields Table 1's costs in millions: baselines with fixed edges, DDW with dynamic.

    MACs, which the paper calls FLOPs, are by its convention; ``total_macs`` adds sums,
    routers and pooling. A variant is ``baseline`` or ``ddw``.

    Source:
        DDW, Table 1.
    """
    paper = paper_figures("table1")
    for name, paper_name, variant, price in _variants(TABLE_1, 224):
        yield {
            "network": name,
            "variant": variant,
            "paper_parameters": paper[paper_name, f"{variant}_params"],
            "parameters": price.parameters / 1e6,
            "paper_macs": paper[paper_name, f"{variant}_flops"],
            "layer_macs": price.layer_macs / 1e6,
            "total_macs": price.total_macs / 1e6,
        }


TABLE_2 = {
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnext50_32x4d": "ResNeXt50-32x4d",
}
"""The backbones of Table 2 under the paper's names."""

DETECTION_SIZE = (800, 1333)
"""Height and width of the images of Table 2, pixels."""


def table2() -> Iterator[dict[str, Any]]:
    """Yields Table 2's GFLOPs: baselines with fixed edges, DDW with dynamic.

    A multiply-add is two operations there, while Table 1 counts it as one. They are of
    convolutions, without the classifier; ``total_gflops`` adds sums, routers and
    pooling.

    Source:
        DDW, Table 2.
    """
    paper = paper_figures("table2")
    for name, paper_name, variant, price in _variants(TABLE_2, DETECTION_SIZE):
        head = price.parts[-1]
        yield {
            "network": name,
            "variant": variant,
            "paper_gflops": paper[paper_name, f"{variant}_gflops"],
            "gflops": 2 * (price.layer_macs - head.layer_macs) / 1e9,
            "total_gflops": 2 * (price.total_macs - head.total_macs) / 1e9,
        }
