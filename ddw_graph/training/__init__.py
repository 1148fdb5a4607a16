"""Data, recipes, and the training of networks.

Names are imported when they are first used, so that the command line does without
torch.
"""

from typing import TYPE_CHECKING

from ddw_graph.lazy import import_lazily

if TYPE_CHECKING:
    from ddw_graph.training.data import load_data as load_data
    from ddw_graph.training.evaluation import evaluate as evaluate
    from ddw_graph.training.execution import Execution as Execution
    from ddw_graph.training.image_data import ImageData as ImageData
    from ddw_graph.training.launch import train as train
    from ddw_graph.training.launch import train_task as train_task
    from ddw_graph.training.loading import batches as batches
    from ddw_graph.training.own_data import dataset_data as dataset_data
    from ddw_graph.training.recipe import Recipe as Recipe
    from ddw_graph.training.recipe import recipe_named as recipe_named
    from ddw_graph.training.run import Run as Run
    from ddw_graph.training.task import Task as Task
    from ddw_graph.training.transform import Transform as Transform

import_lazily(__name__)
