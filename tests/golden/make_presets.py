"""Write presets.json: what torchvision, transformers and torch's flop counter count of the models that are presets.

python3.11 -m venv torch && torch/bin/pip install torch torchvision transformers
torch/bin/python tests/golden/make_presets.py

Models are made on the meta device from their published configurations; nothing is downloaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torchvision
import transformers
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

VISION = {
    **{name: name for name in ("alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "googlenet")},
    **{name: name for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")},
    **{name: name for name in ("densenet121", "densenet169", "densenet201")},
    "vgg16-bn": "vgg16_bn",
    "squeezenet": "squeezenet1_0",
    "resnext50": "resnext50_32x4d",
    "wide-resnet50": "wide_resnet50_2",
    "mobilenetv2": "mobilenet_v2",
    "vit-b16": "vit_b_16",
    "vit-b32": "vit_b_32",
    "vit-l16": "vit_l_16",
}
# Grouped convolutions are left out here: torch's counter takes their backward pass as if they had no groups.
TRAINED = ("alexnet", "vgg16", "resnet18", "resnet50", "densenet121", "gpt2", "bert-base", "tinyllama")


def gpt(width: int, depth: int, heads: int, positions: int = 1024) -> tuple[Any, Any, int]:
    """GPT-2's class, a configuration of it, and its length."""
    config = transformers.GPT2Config(n_embd=width, n_layer=depth, n_head=heads, n_positions=positions)
    return transformers.GPT2LMHeadModel, config, positions


def llama(
    width: int, depth: int, heads: int, hidden: int, vocab: int, kv: int = 0, **more: Any
) -> tuple[Any, Any, int]:
    """Llama's class and a configuration of it; 2048 tokens, at which rotary positions need no more memory."""
    config = transformers.LlamaConfig(
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        num_key_value_heads=kv or heads,
        intermediate_size=hidden,
        vocab_size=vocab,
        **{"tie_word_embeddings": False, **more},
    )
    return transformers.LlamaForCausalLM, config, 2048


def bert(**sizes: int) -> tuple[Any, Any, int]:
    """BERT without the heads of its training, and its length."""
    return transformers.BertModel, transformers.BertConfig(**sizes), 512


LANGUAGE = {
    "gpt": (transformers.OpenAIGPTLMHeadModel, transformers.OpenAIGPTConfig(), 512),
    "gpt2": gpt(768, 12, 12),
    "gpt2-medium": gpt(1024, 24, 16),
    "gpt2-large": gpt(1280, 36, 20),
    "gpt2-xl": gpt(1600, 48, 25),
    "gpt3": gpt(12288, 96, 96, 2048),
    "bert-base": bert(),
    "bert-large": bert(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
    "distilbert": (transformers.DistilBertModel, transformers.DistilBertConfig(), 512),
    "llama-7b": llama(4096, 32, 32, 11008, 32000),
    "llama2-7b": llama(4096, 32, 32, 11008, 32000),
    "llama2-13b": llama(5120, 40, 40, 13824, 32000),
    "llama2-70b": llama(8192, 80, 64, 28672, 32000, 8),
    "mistral-7b": llama(4096, 32, 32, 14336, 32000, 8),
    "llama3-8b": llama(4096, 32, 32, 14336, 128256, 8),
    "llama3-70b": llama(8192, 80, 64, 28672, 128256, 8),
    "tinyllama": llama(2048, 22, 32, 5632, 32000, 4),
    "smollm-135m": llama(576, 30, 9, 1536, 49152, 3, tie_word_embeddings=True),
}


def lenet() -> nn.Module:
    """The layers of 1998 with a dense third layer."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )


def alexnet_2012() -> nn.Module:
    """The layers of the paper, its two towers as groups."""
    return nn.Sequential(
        *(nn.Conv2d(3, 96, 11, 4), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()),
        *(nn.Linear(9216, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)),
    )


def mobilenet_v1() -> nn.Module:
    """With a thousand classes: TensorFlow's release has one more."""
    config = transformers.MobileNetV1Config()
    config.num_labels = 1000
    return transformers.MobileNetV1ForImageClassification(config)  # type: ignore[no-any-return]


def forward_flops(model: nn.Module, *inputs: Any, **named: Any) -> int:
    """FLOPs of one forward pass, without the fast path of attention that hides its products."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*inputs, **named)
    return int(counter.get_total_flops())


def facts(model: nn.Module, flops: int) -> dict[str, int]:
    """Parameters, shared ones once; MACs; running statistics."""
    buffers = sum(value.numel() for name, value in model.named_buffers() if name.endswith(("_mean", "_var")))
    return {"params": sum(value.numel() for value in model.parameters()), "macs": flops // 2, "buffers": buffers}


def training_flops(model: nn.Module, output: Any, *inputs: Any, **named: Any) -> int:
    """FLOPs forward and backward; the input asks for no gradient."""
    with FlopCounterMode(display=False) as counter:
        output(model.train()(*inputs, **named)).sum().backward()
    return int(counter.get_total_flops())


def image_models() -> dict[str, dict[str, int]]:
    """torchvision's, and three that are written out above."""
    found = {}
    for name, known in VISION.items():
        more = {"aux_logits": False, "init_weights": False} if known == "googlenet" else {}
        model = getattr(torchvision.models, known)(weights=None, **more).train(known.startswith("vit"))
        found[name] = facts(model, forward_flops(model, torch.zeros(1, 3, 224, 224)))
        if name in TRAINED:
            found[name]["training_flops"] = training_flops(model, lambda out: out, torch.zeros(2, 3, 224, 224))
    for name, made, shape in (
        ("lenet5", lenet, (1, 1, 32, 32)),
        ("alexnet-2012", alexnet_2012, (1, 3, 227, 227)),
        ("mobilenetv1", mobilenet_v1, (1, 3, 224, 224)),
    ):
        model = made().eval()
        found[name] = facts(model, forward_flops(model, torch.zeros(shape)))
    return found


def language_models() -> dict[str, dict[str, int]]:
    """transformers', with eager attention, so that its products are seen."""
    found = {}
    for name, (kind, config, tokens) in LANGUAGE.items():
        config._attn_implementation = "eager"
        model = kind(config).eval()
        model.tie_weights()
        ids = torch.zeros(1, tokens, dtype=torch.long)
        found[name] = {"tokens": tokens, **facts(model, forward_flops(model, input_ids=ids))}
        if name in TRAINED:
            last = (lambda out: out.pooler_output) if name == "bert-base" else (lambda out: out.logits)
            found[name]["training_flops"] = training_flops(model, last, input_ids=ids[:, :256])
    return found


def main() -> None:
    """Write the file beside this one."""
    with torch.device("meta"):
        found = {"images": image_models(), "language": language_models()}
    made_with = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    made_with["transformers"] = transformers.__version__
    text = json.dumps({"made_with": made_with, **found}, indent=1)
    Path(__file__).with_name("presets.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
