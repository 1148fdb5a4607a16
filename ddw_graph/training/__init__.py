"""Data, recipes, and the training of networks.

Names are imported when they are first used, so that the command line does without
torch.
"""

from typing import TYPE_CHECKING

from ddw_graph.lazy import lazy_names

if TYPE_CHECKING:
    from ddw_graph.training.data import load_data
    from ddw_graph.training.evaluation import evaluate
    from ddw_graph.training.execution import Execution
    from ddw_graph.training.image_data import ImageData
    from ddw_graph.training.launch import train, train_task
    from ddw_graph.training.loading import batches
    from ddw_graph.training.own_data import array_data, dataset_data
    from ddw_graph.training.recipe import Recipe, recipe_named
    from ddw_graph.training.run import Run
    from ddw_graph.training.task import Task
    from ddw_graph.training.transform import Transform

__all__ = [
    "Execution",
    "ImageData",
    "Recipe",
    "Run",
    "Task",
    "Transform",
    "array_data",
    "batches",
    "dataset_data",
    "evaluate",
    "load_data",
    "recipe_named",
    "train",
    "train_task",
]

_HOMES = {
    "Execution": "ddw_graph.training.execution",
    "ImageData": "ddw_graph.training.image_data",
    "Recipe": "ddw_graph.training.recipe",
    "Run": "ddw_graph.training.run",
    "Task": "ddw_graph.training.task",
    "Transform": "ddw_graph.training.transform",
    "array_data": "ddw_graph.training.own_data",
    "batches": "ddw_graph.training.loading",
    "dataset_data": "ddw_graph.training.own_data",
    "evaluate": "ddw_graph.training.evaluation",
    "load_data": "ddw_graph.training.data",
    "recipe_named": "ddw_graph.training.recipe",
    "train": "ddw_graph.training.launch",
    "train_task": "ddw_graph.training.launch",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
