"""Pictures of wirings of classes, of a sample, and of a run as it learns."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ddw_graph.analysis.collect import sample_table
from ddw_graph.analysis.figures import check_weighted
from ddw_graph.analysis.pictures import STYLE, plain
from ddw_graph.analysis.statistics.classes import class_moments, class_offsets
from ddw_graph.analysis.wiring_drawing import draw_wiring
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection, StageEdges
from ddw_graph.training.edge_log import EdgeRow

MAX_CLASSES = 20
"""Classes that a picture has room for."""

IN_A_ROW = 10
"""Classes beside each other; further ones stand below them."""


def class_heatmaps(collection: Collection, classes: Sequence[str] = ()) -> Figure:
    """Returns how the mean wiring of each class deviates from that of all samples.

    A column a class, a row a stage; rows of a matrix hear its columns. Orange edges are
    heavier in the class than elsewhere, purple ones lighter; one scale for all.

    Args:
        collection: What was collected.
        classes: Names of those to show; by default the first that have samples.

    Raises:
        DataError: If every edge is constant, or a class is unknown or has no sample.
    """
    check_weighted(collection, str(collection.folder))
    stages = range(len(collection.stages))
    moments = [class_moments(collection, place) for place in stages]
    count = moments[0].count
    known = [
        name for name, samples in zip(collection.classes, count, strict=True) if samples
    ]
    missing = [name for name in classes if name not in known]
    if missing:
        raise DataError(
            f"a class must be one of {', '.join(known)}, which have samples, got "
            f"{missing[0]!r}"
        )
    shown = [collection.classes.index(n) for n in (classes or known[:MAX_CLASSES])]
    off = [class_offsets(each)[shown] for each in moments]
    reach = max((float(np.abs(each).max(initial=0)) for each in off), default=0) or 1e-9
    scale = Normalize(-reach, reach)
    columns = min(len(shown), IN_A_ROW)
    rows = len(stages) * -(-len(shown) // columns)
    with matplotlib.rc_context(fname=STYLE):
        size = (1.15 * columns + 1.4, 1.15 * rows + 0.9)
        figure = Figure(figsize=size, layout="compressed")
        grid = figure.subplots(rows, columns, squeeze=False)
        for ax in grid.ravel():
            ax.axis("off")
        for nth, label in enumerate(shown):
            above, column = divmod(nth, columns)
            for place in stages:
                ax = grid[above * len(stages) + place, column]
                ax.axis("on")
                matrix = _matrix(collection.stages[place], off[place][nth])
                ax.imshow(matrix, cmap="PuOr_r", norm=scale)
                ax.set(xticks=[], yticks=[])
                ax.grid(False)
                if not place:
                    ax.set_title(plain(collection.classes[label]))
                if not column:
                    ax.set_ylabel(f"stage {place + 1}")
        figure.colorbar(
            ScalarMappable(scale, "PuOr_r"),
            ax=grid.ravel().tolist(),
            shrink=0.8,
            label="weight less the\nmean of all samples",
        )
        left_out = not classes and len(known) > MAX_CLASSES
        which = f"the first {MAX_CLASSES} of {len(known)} classes"
        figure.suptitle(f"Mean wiring of {which if left_out else 'each class'}")
    return figure


def sample_figure(collection: Collection, sample: int) -> Figure:
    """Returns the wiring of a sample, a panel a stage: the heavier an edge, the bolder.

    Boldness goes from the lightest open edge of the stage to the heaviest, which its
    title names: a sample's weights may differ little. Closed edges are grey and dashed.

    Args:
        collection: What was collected.
        sample: Its row, from 0.

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
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(8, 3.2 * count + 0.5), layout="constrained")
        axes = figure.subplots(count, 1, squeeze=False)[:, 0]
        for place, (ax, stage) in enumerate(zip(axes, collection.stages, strict=True)):
            values = np.abs(collection.weights(place)[sample]).astype(float)
            ends = map(tuple, stage.edges.tolist())
            bold = map(float, _boldness(values))
            draw_wiring(stage.dag(), weights=dict(zip(ends, bold, strict=True)), ax=ax)
            low, high = values[values > 0].min(), values.max()
            closed = int((values == 0).sum())
            told = f", {closed} closed" if closed else ""
            ax.set_title(f"stage {place + 1}: weights {low:.3g} to {high:.3g}{told}")
        figure.suptitle(plain(f"sample {sample}{''.join(known)}"))
    return figure


def learning_figure(rows: Sequence[EdgeRow]) -> Figure:
    """Returns how the weight of each edge goes over epochs: a column a stage.

    Above its mean over the test images, below its deviation over them. A line is an
    edge; the darker, the nearer to the input is its source.

    Args:
        rows: Those of a run's ``wiring.csv``.

    Raises:
        DataError: If there are none.
    """
    if not rows:
        raise DataError("a picture of learning needs an epoch with weights, got none")
    stages = sorted({row.stage for row in rows})
    lines: dict[tuple[int, int, int], list[EdgeRow]] = {}
    for row in rows:
        lines.setdefault((row.stage, row.source, row.target), []).append(row)
    last = max(row.source for row in rows)
    scale = Normalize(0, last * 1.15 + 1e-9)  # short of the palest, on white
    colours = matplotlib.colormaps["viridis"]
    with matplotlib.rc_context(fname=STYLE):
        size = (2.9 * len(stages) + 1, 5.4)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(2, len(stages), sharex=True, sharey="row", squeeze=False)
        for (stage, source, _), line in lines.items():
            column = stages.index(stage)
            epochs = [row.epoch for row in line]
            colour = colours(scale(source))
            marker = "." if len(epochs) == 1 else None
            for ax, values in (
                (grid[0, column], [row.mean for row in line]),
                (grid[1, column], [row.std for row in line]),
            ):
                ax.plot(epochs, values, color=colour, linewidth=0.9, marker=marker)
        for column, stage in enumerate(stages):
            grid[0, column].set_title(f"stage {stage}")
            grid[1, column].set_xlabel("epoch")
            grid[1, column].xaxis.get_major_locator().set_params(integer=True)
        grid[0, 0].set_ylabel("mean weight")
        grid[1, 0].set_ylabel("deviation over images")
        figure.colorbar(
            ScalarMappable(scale, colours),
            ax=grid.ravel().tolist(),
            shrink=0.6,
            label="source of the edge",
        )
        figure.suptitle("Each edge's weight as the network learns")
    return figure


def _boldness(sizes: np.ndarray) -> np.ndarray:
    """Returns sizes over the range of those that are not 0, from 0.1 to 1."""
    low, high = sizes[sizes > 0].min(), sizes.max()
    if low == high:
        return np.where(sizes > 0, 1.0, 0.0)
    return np.where(sizes > 0, 0.1 + 0.9 * (sizes - low) / (high - low), 0.0)


def _matrix(stage: StageEdges, values: np.ndarray) -> np.ndarray:
    """Returns values of weighted edges as a matrix, NaN elsewhere."""
    matrix = np.full((stage.nodes, stage.nodes), np.nan)
    source, target = stage.edges[~stage.constant].T
    matrix[target, source] = values
    return matrix
