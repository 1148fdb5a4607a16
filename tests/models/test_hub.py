"""Networks on the Hugging Face Hub, which is not reached: its functions stand in."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError

from ddw_graph import create_model
from ddw_graph.errors import CheckpointError
from ddw_graph.hub import HubNetwork


class Missing(HfHubHTTPError):
    """A file that a repository does not have."""

    def __init__(self, name: str) -> None:
        Exception.__init__(self, name)


def test_what_is_pushed_is_what_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = create_model("randwire_tiny", wiring="complete", n=2, channels=4).eval()
    HubNetwork(network).save_pretrained(tmp_path / "pushed")
    assert {path.name for path in (tmp_path / "pushed").iterdir()} == {
        "README.md",
        "model.safetensors",
    }
    asked: list[Any] = []

    def download(repo_id: str, filename: str, revision: str, **_: Any) -> str:
        asked.append((repo_id, filename, revision))
        if not (tmp_path / "pushed" / filename).exists():
            raise Missing(filename)
        return str(shutil.copy(tmp_path / "pushed" / filename, tmp_path / filename))

    monkeypatch.setattr("ddw_graph.hub.hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", download)
    again = HubNetwork.from_pretrained("owner/name", revision="v1").network
    assert ("owner/name", "model.safetensors", "v1") in asked
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(again(x), network(x))


def test_a_file_of_the_hub_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(CheckpointError):
        HubNetwork.from_pretrained(tmp_path)
