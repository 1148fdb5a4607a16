"""The settings of a network that commands and sweeps pass to ``create_model``."""

from ddw_graph.settings import Setting

NETWORK_SETTINGS = {
    each.name: each
    for each in (
        Setting("model", str, "Network; see ddw-graph models."),
        Setting("wiring", str, "Wiring: ws:k=4,p=0.75, complete, file:PATH and so on."),
        Setting(
            "edges",
            str,
            "Edge weights: fixed, learned, dynamic, attention, receiver or a kind of "
            "your own, with settings: dynamic:gate=hard,bias=0.",
        ),
        Setting("n", int, "Computing nodes of a stage."),
        Setting("channels", float, "C, from which every width follows."),
        Setting("depth", int, "Blocks of a Transformer, of two branches each."),
        Setting("width", int, "Channels of a token."),
        Setting("heads", int, "Heads of a Transformer's attention."),
        Setting("context", int, "Most tokens that a language model reads at once."),
        Setting("patch", int, "Pixels of a vision Transformer's patch."),
        Setting(
            "node",
            str,
            "What a node of a backbone or Transformer is: branch or block.",
            ("branch", "block"),
        ),
        Setting("operation", str, "What a node computes: sepconv or basic."),
        Setting(
            "transition",
            str,
            "Where width and stride change: sources or input.",
            ("sources", "input"),
        ),
        Setting(
            "output", str, "How output nodes gather: sum or mean.", ("sum", "mean")
        ),
        Setting(
            "head",
            int,
            "Channels of the convolution before the pooling; 0 for none.",
        ),
        Setting(
            "drop_path", float, "Probability that a node loses an input.", "[0, 1]"
        ),
        Setting(
            "dropout", float, "Probability of dropout before the classifier.", "[0, 1]"
        ),
    )
}
"""By name. What a network allows depends on its family, which checks it."""
