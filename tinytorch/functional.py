"""Operations without parameters of their own, under the names of torch.nn.functional: `F.relu(x)`, `F.softmax(x)`."""

from tinytorch._doors import open_door, places

_TABLE = places(
    {
        "core.activations": "relu leaky_relu sigmoid tanh gelu softmax",
        "core.layers": "flatten",
        "core.losses": "log_softmax logsumexp mse_loss cross_entropy "
        "binary_cross_entropy binary_cross_entropy_with_logits",
        "core.spatial": "conv2d max_pool2d avg_pool2d",
        "core.attention": "scaled_dot_product_attention",
    }
)
__getattr__, __dir__ = open_door(__name__, _TABLE)
