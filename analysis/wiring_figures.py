"""Pictures of the wiring of a sample, and of weights over the epochs of a run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ddw_graph.analysis.pictures import add_colour_bar, panels, plain, styled
from ddw_graph.analysis.statistics.samples import sample_table
from ddw_graph.analysis.wiring_drawing import draw_wiring
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

if TYPE_CHECKING:
    from ddw_graph.training.edge_log import EdgeRow


@styled
def sample_figure(collection: Collection, sample: int) -> Figure:
    """Returns the wiring of a sample, a panel a stage: the heavier an edge, the bolder.

    Boldness goes from the lightest open edge of the stage to the heaviest, which its
    title names: a sample's weights may differ little. Closed edges are grey and dashed.
    ``sample`` is its row, from 0.

    Raises:
        DataError: If there is no such sample.
    """
    if not 0 <= sample < collection.samples:
        raise DataError(
            f"sample must be in [0, {collection.samples - 1}], got {sample}"
        )
    about = sample_table(collection).iloc[sample]
    texts = {
        "label": ": {}",
        "prediction": ", predicted as {}",
        "loss": ", loss {:.3g}",
    }
    known = (text.format(about[name]) for name, text in texts.items() if name in about)
    count = len(collection.stages)
    figure, grid = panels(count, 1, (8, 3.2 * count + 0.5))
    stages = enumerate(zip(grid[:, 0], collection.stages, strict=True))
    for place, (ax, stage) in stages:
        sizes = np.abs(collection.weights(place)[sample]).astype(float)
        low, high = sizes[sizes > 0].min(), sizes.max()
        bold = np.interp(sizes, (low, high), (0.1, 1.0)) if high > low else sizes > 0
        ends = map(tuple, stage.edges.tolist())
        weights = np.where(sizes > 0, bold, 0.0).tolist()
        draw_wiring(stage.dag(), weights=dict(zip(ends, weights, strict=True)), ax=ax)
        closed = int((sizes == 0).sum())
        suffix = f", {closed} closed" if closed else ""
        ax.set_title(f"stage {place + 1}: weights {low:.3g} to {high:.3g}{suffix}")
    figure.suptitle(plain(f"sample {sample}{''.join(known)}"))
    return figure


@styled
def learning_figure(rows: "Sequence[EdgeRow]") -> Figure:
    """Returns the weight of each edge over epochs, from the rows of ``wiring.csv``.

    A column a stage: above is the mean over the test images, below the standard
    deviation. A line is an edge; the darker, the nearer to the input is its source.

    Raises:
        DataError: If there are none.
    """
    if not rows:
        raise DataError("a picture of learning needs an epoch with weights, got none")
    table = pd.DataFrame(rows)
    stages = table.groupby("stage")
    scale = Normalize(0, table["source"].max() * 1.15 + 1e-9)  # the palest is too pale
    colours = matplotlib.colormaps["viridis"]
    size = (2.9 * len(stages) + 1, 5.4)
    figure, grid = panels(2, len(stages), size, sharex=True, sharey="row")
    for (stage, of_stage), axes in zip(stages, grid.T, strict=True):
        for _, line in of_stage.groupby(["source", "target"]):
            source = float(line["source"].iloc[0])
            look = {"color": colours(scale(source)), "linewidth": 0.9}
            marker = "." if len(line) == 1 else None
            for ax, column in zip(axes, ("mean", "std"), strict=True):
                ax.plot(line["epoch"], line[column], marker=marker, **look)
        axes[0].set_title(f"stage {stage}")
        axes[1].set_xlabel("epoch")
        axes[1].xaxis.get_major_locator().set_params(integer=True)
    grid[0, 0].set_ylabel("mean weight")
    grid[1, 0].set_ylabel("standard deviation")
    add_colour_bar(figure, scale, "viridis", "source of the edge")
    figure.suptitle("Each edge's weight as the network learns")
    return figure
