"""Networks on the Hugging Face Hub."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, hf_hub_download

from ddw_graph.models import load, save
from ddw_graph.nn.network import Network

FILE = "model.safetensors"
CARD = """---
{{ card_data }}
---

A network of ddw_graph: stages that run a DAG, with weights on its edges.

```python
from ddw_graph.hub import HubNetwork

network = HubNetwork.from_pretrained("OWNER/NAME").network
```
"""
"""The card of a repository, by the Hub's template."""


class HubNetwork(ModelHubMixin, library_name="ddw_graph", model_card_template=CARD):
    """A network with ``push_to_hub``, ``save_pretrained`` and ``from_pretrained``.

    The repository holds the one file that ``save`` writes, and a model card. What comes
    from the Hub is not trusted: see ``load``.

    Args:
        network: A network with a ``config``, such as ``create_model`` returns.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from ddw_graph import create_model
        >>> model = create_model("randwire_tiny", wiring="complete", n=2)
        >>> with TemporaryDirectory() as folder:
        ...     card = HubNetwork(model).save_pretrained(folder)
        ...     again = HubNetwork.from_pretrained(folder).network
        >>> [stage.plan.nodes for stage in again.stages]
        [4, 4, 4]
    """

    def __init__(self, network: Network) -> None:
        self.network = network

    def _save_pretrained(self, save_directory: Path) -> None:
        save(self.network, save_directory / FILE, overwrite=True)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **settings: Any) -> "HubNetwork":
        names = ("revision", "cache_dir", "force_download", "local_files_only", "token")
        of_hub = {name: settings.pop(name) for name in names if name in settings}
        path = Path(model_id) / FILE
        if not Path(model_id).is_dir():
            path = Path(hf_hub_download(model_id, FILE, **of_hub))
        return cls(load(path, **settings))
