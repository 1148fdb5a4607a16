"""A small trained network that is in the package, to look at.

``model.safetensors`` is what this command left, seed 0 on the images in the package::

    ddw-graph train --n 6 --channels 10 --epochs 10 --router-lr 5 --threads 1 \
        --edges dynamic:gate=hard,bias=0,threshold=0.5,router_std=0.3 --out demo

Its edges close at 0.5, so that images take paths of their own: an edge weighs
``psi(a)`` where the router's ``a`` is at least 0.5, and nothing below.
"""

from pathlib import Path

from ddw_graph.models import load
from ddw_graph.nn.network import Network

MODEL = Path(__file__).parent / "model.safetensors"
"""Three stages of six nodes, complete; 19,775 parameters."""

ACCURACY = 0.8395
"""Of the 2,000 test images of ``fashion_mnist_mini``, at the end of training."""


def demo_network() -> Network:
    """Returns the network, in evaluation mode."""
    return load(MODEL).eval()
