"""What networks are made of, under the names of torch.nn: `from tinytorch.nn import Linear, ReLU, Sequential`."""

import sys

from tinytorch import functional
from tinytorch._doors import open_door, places

sys.modules[f"{__name__}.functional"] = functional  # so that `import tinytorch.nn.functional as F` works

_TABLE = places(
    {
        "core.tensor": "Parameter",
        "core.activations": "ReLU LeakyReLU Sigmoid Tanh GELU Softmax",
        "core.layers": "Module Layer Linear Dense Dropout Sequential Flatten",
        "core.losses": "MSELoss CrossEntropyLoss BCELoss=BinaryCrossEntropyLoss BinaryCrossEntropyLoss "
        "BCEWithLogitsLoss",
        "core.normalization": "BatchNorm1d BatchNorm2d LayerNorm RMSNorm "
        "xavier_uniform xavier_normal he_normal lecun_normal",
        "core.spatial": "Conv2d Conv2D MaxPool2d MaxPool2D AvgPool2d AvgPool2D",
        "core.embeddings": "Embedding PositionalEncoding EmbeddingLayer",
        "core.attention": "MultiheadAttention=MultiHeadAttention MultiHeadAttention",
        "core.transformers": "MLP TransformerBlock GPT",
    }
)
__getattr__, __dir__ = open_door(__name__, _TABLE, ("functional",))
