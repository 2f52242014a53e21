"""Language models. Dropout is left out where the published model is used without it; positions that are computed
(rotary) cost nothing here."""

from __future__ import annotations

from collections.abc import Callable

from tito.analysis.presets import Preset

GPT2_PAPER = "Radford et al. 2019, Language Models are Unsupervised Multitask Learners"
GPT2_VARIANT = "tied output head, biases, learned positions, T = 1024"
GPT3_PAPER = "Brown et al. 2020, arXiv:2005.14165, tables 2.1 and D.1"
BERT_PAPER = "Devlin et al. 2018, arXiv:1810.04805"
BERT_VARIANT = "uncased, with pooler, without the training heads, T = 512"
LLAMA2_PAPER = "Touvron et al. 2023, arXiv:2307.09288"
LLAMA_VARIANT = "RMSNorm, SwiGLU, rotary positions, no biases, untied head, T = 4096"


def _gpt(vocab: int, positions: int, depth: int, width: int, heads: int) -> Callable[[], str]:
    return lambda: f"wte=embed:{vocab}x{width} wpe=pos:{positions} {depth}*block:{width}h{heads} ln_f=ln head=unembed"


def _bert(depth: int, width: int, heads: int, *, vocab: int = 30522, positions: int = 512, types: int = 2) -> str:
    """An encoder whose norms come after the sums, and a pooler over the first token."""
    added = f"types:{types} " if types else ""
    return (
        f"words=embed:{vocab}x{width} pos:{positions} {added}ln dropout0.1 "
        f"{depth}*(layer=(res(attn:{width}h{heads} dropout0.1) ln res(mlp:{4 * width} dropout0.1) ln))"
    )


def _bert_pooled(depth: int, width: int, heads: int) -> Callable[[], str]:
    return lambda: f"{_bert(depth, width, heads)} first pooler=linear:{width} tanh"


def _llama(
    depth: int, width: int, heads: int, hidden: int, *, vocab: int = 32000, kv_heads: int = 0, tied: bool = False
) -> Callable[[], str]:
    attention = f"attn:{width}h{heads}" + (f"kv{kv_heads}" if kv_heads else "")
    head = "unembed" if tied else f"linear:{width}x{vocab} nobias"
    return lambda: (
        f"embed:{vocab}x{width} "
        f"{depth}*(block=(res(rmsnorm {attention} nobias) res(rmsnorm swiglu:{hidden} nobias))) "
        f"rmsnorm head={head}"
    )


def _language(
    name: str,
    title: str,
    year: int,
    variant: str,
    source: str,
    seq: int,
    layers: Callable[[], str],
    published: int | None,
    rounded: str = "",
) -> Preset:
    return Preset(name, title, year, variant, source, (seq,), layers, published=published, rounded=rounded, seq=seq)


def _gpt2(name: str, title: str, depth: int, width: int, heads: int, published: int, rounded: str = "") -> Preset:
    layers = _gpt(50257, 1024, depth, width, heads)
    return _language(name, title, 2019, GPT2_VARIANT, GPT2_PAPER, 1024, layers, published, rounded)


PRESETS = [
    _language(
        "gpt",
        "GPT",
        2018,
        "tied output head, norms after the sums, learned positions, T = 512",
        "Radford et al. 2018, Improving Language Understanding by Generative Pre-Training",
        512,
        lambda: "embed:40478x768 pos:512 12*(block=(res(attn:768h12) ln res(mlp:3072) ln)) unembed",
        116_534_784,
        "117 million",
    ),
    _language(
        "bert-base",
        "BERT-base",
        2018,
        BERT_VARIANT,
        BERT_PAPER,
        512,
        _bert_pooled(12, 768, 12),
        109_482_240,
        "110 million",
    ),
    _language(
        "bert-large",
        "BERT-large",
        2018,
        BERT_VARIANT,
        BERT_PAPER,
        512,
        _bert_pooled(24, 1024, 16),
        335_141_888,
        "340 million",
    ),
    _language(
        "distilbert",
        "DistilBERT",
        2019,
        "uncased, no token types, no pooler, T = 512",
        "Sanh et al. 2019, arXiv:1910.01108",
        512,
        lambda: _bert(6, 768, 12, types=0),
        66_362_880,
        "66 million",
    ),
    _gpt2("gpt2", "GPT-2 small", 12, 768, 12, 124_439_808, "117 million in the paper, which is a miscount"),
    _gpt2("gpt2-medium", "GPT-2 medium", 24, 1024, 16, 354_823_168, "345 million in the paper"),
    _gpt2("gpt2-large", "GPT-2 large", 36, 1280, 20, 774_030_080, "762 million in the paper"),
    _gpt2("gpt2-xl", "GPT-2 XL", 48, 1600, 25, 1_557_611_200, "1,542 million in the paper"),
    _language(
        "gpt3",
        "GPT-3 175B",
        2020,
        "tied output head, learned positions, T = 2048; banded sparse layers counted dense",
        GPT3_PAPER,
        2048,
        _gpt(50257, 2048, 96, 12288, 96),
        None,
        "174,600 million",
    ),
    _language(
        "llama-7b",
        "LLaMA 7B",
        2023,
        LLAMA_VARIANT.replace("4096", "2048"),
        "Touvron et al. 2023, arXiv:2302.13971",
        2048,
        _llama(32, 4096, 32, 11008),
        6_738_415_616,
        "6.7 billion",
    ),
    _language(
        "llama2-7b",
        "Llama 2 7B",
        2023,
        LLAMA_VARIANT,
        LLAMA2_PAPER,
        4096,
        _llama(32, 4096, 32, 11008),
        6_738_415_616,
        "7 billion",
    ),
    _language(
        "llama2-13b",
        "Llama 2 13B",
        2023,
        LLAMA_VARIANT,
        LLAMA2_PAPER,
        4096,
        _llama(40, 5120, 40, 13824),
        13_015_864_320,
        "13 billion",
    ),
    _language(
        "llama2-70b",
        "Llama 2 70B",
        2023,
        f"grouped-query attention (8), {LLAMA_VARIANT}",
        LLAMA2_PAPER,
        4096,
        _llama(80, 8192, 64, 28672, kv_heads=8),
        68_976_648_192,
        "70 billion",
    ),
    _language(
        "mistral-7b",
        "Mistral 7B",
        2023,
        f"grouped-query attention (8), {LLAMA_VARIANT}; the sliding window counted dense",
        "Jiang et al. 2023, arXiv:2310.06825",
        4096,
        _llama(32, 4096, 32, 14336, kv_heads=8),
        7_241_732_096,
        "7 billion",
    ),
    _language(
        "llama3-8b",
        "Llama 3 8B",
        2024,
        f"grouped-query attention (8), {LLAMA_VARIANT.replace('4096', '8192')}",
        "Grattafiori et al. 2024, arXiv:2407.21783",
        8192,
        _llama(32, 4096, 32, 14336, vocab=128256, kv_heads=8),
        8_030_261_248,
        "8 billion",
    ),
    _language(
        "llama3-70b",
        "Llama 3 70B",
        2024,
        f"grouped-query attention (8), {LLAMA_VARIANT.replace('4096', '8192')}",
        "Grattafiori et al. 2024, arXiv:2407.21783",
        8192,
        _llama(80, 8192, 64, 28672, vocab=128256, kv_heads=8),
        70_553_706_496,
        "70 billion",
    ),
    _language(
        "tinyllama",
        "TinyLlama 1.1B",
        2024,
        f"grouped-query attention (4), {LLAMA_VARIANT.replace('4096', '2048')}",
        "Zhang et al. 2024, arXiv:2401.02385",
        2048,
        _llama(22, 2048, 32, 5632, kv_heads=4),
        1_100_048_384,
        "1.1 billion",
    ),
    _language(
        "smollm-135m",
        "SmolLM 135M",
        2024,
        f"grouped-query attention (3), {LLAMA_VARIANT.replace('4096', '2048').replace('untied', 'tied')}",
        "SmolLM, Ben Allal et al. 2024, Hugging Face",
        2048,
        _llama(30, 576, 9, 1536, vocab=49152, kv_heads=3, tied=True),
        134_515_008,
        "135 million",
    ),
]
