"""Rewires a Hugging Face decoder and trains it with the Trainer.

    pip install transformers accelerate
    python hf_trainer.py

The edges are dense connections over depth, weighed by position; the rewired model
starts with the function that it had, and keeps ``generate``.
"""

import tempfile

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainingArguments,
    set_seed,
)

from ddw_graph import rewire
from ddw_graph.training import load_data


class Windows(torch.utils.data.Dataset):
    """Windows of a text, bytes as tokens."""

    def __init__(self, tokens: torch.Tensor, length: int) -> None:
        self.windows = tokens[: len(tokens) // length * length].view(-1, length)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.windows[index], "labels": self.windows[index]}


def main(steps: int = 20) -> None:
    """Trains, and prints the loss on held-out text and a continuation."""
    set_seed(0)
    sizes = {"n_embd": 64, "n_layer": 4, "n_head": 4, "n_positions": 128}
    config = GPT2Config(vocab_size=256, bos_token_id=0, eos_token_id=0, **sizes)
    # Weights of a checkpoint: GPT2LMHeadModel.from_pretrained("gpt2").
    model = rewire(GPT2LMHeadModel(config), edges="dynamic:per=position")
    text = load_data("text")
    train = torch.from_numpy(text.train.read(0, 200_000))
    test = torch.from_numpy(text.test.read(0, 6400))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=steps,
            per_device_train_batch_size=8,
            learning_rate=1e-3,
            report_to=[],
            save_strategy="no",
        )
        trainer = Trainer(
            model.model,
            arguments,
            train_dataset=Windows(train, 64),
            eval_dataset=Windows(test, 64),
        )
        trainer.train()
        print(f"held-out loss {trainer.evaluate()['eval_loss']:.3f}")
    prompt = torch.tensor([list(b"And God said")])
    continued = model.model.generate(prompt, max_new_tokens=20, do_sample=False)
    print(bytes(continued[0].tolist()).decode(errors="replace"))


if __name__ == "__main__":
    main()
