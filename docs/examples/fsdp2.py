"""Shards a network over processes with FSDP2, made without memory at first.

    torchrun --nproc-per-node 2 fsdp2.py

The network is built on the device "meta" and sharded node by node; only then it takes
memory, and each process holds its own part. The initial weights are drawn by the first
process and sent to the others.
"""

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    set_model_state_dict,
)
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy

from ddw_graph import create_model
from ddw_graph.training import load_data


def main(steps: int = 5) -> None:
    """Prints the loss of each step."""
    dist.init_process_group()
    rank, world = dist.get_rank(), dist.get_world_size()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = dist.init_device_mesh(device, (world,))
    torch.manual_seed(0)

    def network() -> torch.nn.Module:
        return create_model("gpt_tiny", edges="dynamic:per=position")

    initial = network().state_dict() if rank == 0 else {}
    with torch.device("meta"):
        model = network()
    for operation in model.stages[0].operations:
        fully_shard(operation, mesh=mesh)
    fully_shard(model, mesh=mesh)
    model.to_empty(device=device)
    sent = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, initial, options=sent)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    text = torch.from_numpy(load_data("text").train.read(0, 8 * 129 * steps * world))
    for step, batch in enumerate(text.view(steps, world, 8, 129)[:, rank]):
        logits = model(batch[:, :-1].to(device))
        loss = cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten().to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if rank == 0:
            print(f"step {step + 1}: loss {loss.item():.3f}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
