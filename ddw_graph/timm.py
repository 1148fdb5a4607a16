"""The networks under timm's ``create_model``, as ``ddw_`` and their name.

Importing this module registers them. timm's scripts then train them:

    python -m ddw_graph.timm train.py DATA --model ddw_resnet50

runs the script ``train.py`` of timm's repository, or any other, with its arguments.
"""

import runpy
import sys
from typing import Any

from timm.models import register_model
from torch import nn

from ddw_graph.models import create_model, list_models
from ddw_graph.models.create import TIMM_NAMES

PREFIX = "ddw_"


def _register(name: str) -> None:
    def create(
        pretrained: bool = False,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: Any = None,
        cache_dir: Any = None,
        **settings: Any,
    ) -> nn.Module:
        given = {TIMM_NAMES.get(key, key): value for key, value in settings.items()}
        model: nn.Module = create_model(name, pretrained=pretrained or None, **given)
        return model

    create.__name__ = PREFIX + name
    create.__doc__ = f"Returns {name} with new weights; see ddw_graph.create_model."
    register_model(create)


for _name in list_models():
    _register(_name)

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m ddw_graph.timm SCRIPT [ARGUMENTS]")
    # The script sees its own name and arguments.
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
