"""A language model: a network that reads tokens and predicts each next one."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.arguments import check_integers
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import evaluating
from ddw_graph.nn.stage import Stage


class LanguageModel(Network):
    """Chains stages between an embedding of tokens and a layer that predicts the next.

    Args:
        stages: At least one, with the channels last.
        vocabulary: Number of different tokens.
        context: Most tokens that it reads at once.

    Shapes:
        - x: ``(batch, tokens)``, integers in ``[0, vocabulary)``
        - output: ``(batch, tokens, vocabulary)``: at each position the logits of the
          token after it
        - adjacency: for each stage ``(batch, N_k, N_k)``, or with positions
          ``(batch, N_k, N_k, tokens, 1)``

    Raises:
        ModelError: If edges weigh by what comes later in the text.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[Stage],
        head: nn.Module,
        *,
        vocabulary: int,
        context: int,
    ) -> None:
        check_integers(vocabulary=vocabulary, context=context)
        super().__init__(stem, stages, head, in_channels=0)
        self.vocabulary, self.context = vocabulary, context
        for stage in self.stages:
            if stage.weights.sees_all_positions:
                raise ModelError(
                    "edges of a language model must not see later tokens, got "
                    f"{type(stage.weights).__name__} of {stage.label}, which pools "
                    "over positions: dynamic edges need per=position"
                )

    def with_stages(self, stages: Sequence[Stage]) -> "LanguageModel":
        """Returns a language model of other stages that shares all else."""
        return LanguageModel(
            self.stem,
            stages,
            self.head,
            vocabulary=self.vocabulary,
            context=self.context,
        )

    def reset_classifier(
        self, num_classes: int, global_pool: str | None = None
    ) -> None:
        """Refuses: what predicts tokens is the embedding that reads them."""
        raise ModelError(
            f"a language model has its vocabulary as classes, got {num_classes}"
        )

    def check(self, x: Tensor) -> None:
        """Checks that an input is a batch of tokens, and not too long."""
        whole = isinstance(x, Tensor) and not (x.is_floating_point() or x.is_complex())
        if not whole or x.ndim != 2 or not 0 < x.shape[1] <= self.context:
            got = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else type(x)
            raise ModelError(
                f"tokens must be integers of the shape (batch, 1 to {self.context}), "
                f"got {got}"
            )

    def example(
        self,
        size: Any = None,
        *,
        batch: int = 1,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Returns a batch of random texts, each as long as the context."""
        shape = batch, self.context
        return torch.randint(self.vocabulary, shape, generator=generator, device=device)

    @torch.no_grad()
    def generate(
        self,
        prompt: Int[Tensor, "batch tokens"],
        tokens: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Int[Tensor, "batch more"]:
        """Returns a prompt continued token by token, in evaluation mode.

        Each token is drawn from the last ``context`` ones.

        Args:
            prompt: At least one token.
            temperature: Divides the logits; 0 takes the most probable token.
            top_k: Draw from so many most probable tokens; None for all.
            generator: Draws, on the network's device; by default torch's own.

        Raises:
            ModelError: If a value is out of range.
        """
        check_integers(tokens=tokens)
        if not 0 <= temperature < float("inf"):
            raise ModelError(f"temperature must be at least 0, got {temperature}")
        if top_k is not None:
            check_integers(top_k=top_k)
        self.check(prompt[:, -self.context :])
        text = prompt.to(next(self.parameters()).device)
        with evaluating(self):
            for _ in range(tokens):
                logits = self(text[:, -self.context :])[:, -1].float()
                if top_k is not None and top_k < logits.shape[-1]:
                    least = logits.topk(top_k).values[:, -1:]
                    logits = logits.masked_fill(logits < least, -torch.inf)
                if temperature == 0:
                    chosen = logits.argmax(-1, keepdim=True)
                else:
                    logits = logits - logits.amax(-1, keepdim=True)
                    shares = (logits / temperature).softmax(-1)
                    chosen = torch.multinomial(shares, 1, generator=generator)
                text = torch.cat((text, chosen.to(text.dtype)), dim=1)
        return text
