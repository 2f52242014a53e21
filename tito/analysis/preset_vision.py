"""Vision models, layer for layer as torchvision builds them (LeNet-5 aside)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tito.analysis.presets import TORCHVISION, Preset

IMAGENET = (3, 224, 224)


def _lenet() -> str:
    return """
        c1=conv:1x6k5 tanh s2=avgpool2 c3=conv:6x16k5 tanh s4=avgpool2
        c5=conv:16x120k5 tanh flatten f6=linear:120x84 tanh output=linear:84x10"""


def _alexnet() -> str:
    return """
        features=(conv:3x64k11s4p2 relu pool3s2 conv:64x192k5p2 relu pool3s2 conv:192x384k3p1 relu
                  conv:384x256k3p1 relu conv:256x256k3p1 relu pool3s2)
        adaptpool:6 flatten
        classifier=(dropout0.5 linear:9216x4096 relu dropout0.5 linear:4096x4096 relu linear:4096x1000)"""


def _alexnet_2012() -> str:
    """The model of the paper: its two towers are the groups; response normalisation has no parameters."""
    return """
        features=(conv:3x96k11s4 relu pool3s2 conv:96x256k5p2g2 relu pool3s2 conv:256x384k3p1 relu
                  conv:384x384k3p1g2 relu conv:384x256k3p1g2 relu pool3s2)
        flatten classifier=(linear:9216x4096 relu dropout0.5 linear:4096x4096 relu dropout0.5 linear:4096x1000)"""


def _vgg(depths: Sequence[int], norm: bool = False) -> Callable[[], str]:
    def layers() -> str:
        each = "bn relu" if norm else "relu"  # the biases stay before batch norm
        stages = [
            f"{depth}*(conv:{width}k3p1 {each}) pool2"
            for depth, width in zip(depths, (64, 128, 256, 512, 512), strict=True)
        ]
        return f"""
            features=({" ".join(stages)}) adaptpool:7 flatten
            classifier=(linear:25088x4096 relu dropout0.5 linear:4096x4096 relu dropout0.5 linear:4096x1000)"""

    return layers


def _resnet(depths: Sequence[int], bottleneck: bool, groups: int = 1, base: int = 64) -> Callable[[], str]:
    def block(width: int, stride: int, ways: bool) -> str:
        pace, split = f"s{stride}" if stride > 1 else "", f"g{groups}" if groups > 1 else ""
        if bottleneck:
            inner = width * base // 64 * groups
            body = (
                f"conv:{inner}k1 nobias bn relu conv:{inner}k3{pace}p1{split} nobias bn relu "
                f"conv:{4 * width}k1 nobias bn"
            )
        else:
            body = f"conv:{width}k3{pace}p1 nobias bn relu conv:{width}k3p1 nobias bn"
        out = 4 * width if bottleneck else width
        return f"res({body}{f' | conv:{out}k1{pace} nobias bn' if ways else ''}) relu"

    def layers() -> str:
        stages = []
        for number, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512), strict=True), 1):
            stride = 1 if number == 1 else 2
            first = block(width, stride, ways=stride == 2 or bottleneck)
            rest = f"{depth - 1}*({block(width, 1, ways=False)})" if depth > 2 else block(width, 1, ways=False)
            stages.append(f"layer{number}=({first} {rest})")
        return f"""
            conv1=conv:3x64k7s2p3 nobias bn1=bn relu maxpool=pool3s2p1
            {" ".join(stages)} avgpool=gap fc=linear:1000"""

    return layers


def _mobilenetv2() -> str:
    """Inverted residuals as in table 2 of the paper: expansion, channels, repeats, stride."""
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    parts, channels = ["stem=(conv:3x32k3s2p1 nobias bn relu6)"], 32
    for number, (expansion, out, repeats, stride) in enumerate(table, 1):
        inside = []
        for step in range(repeats):
            wide = channels * expansion
            widen = f"conv:{wide}k1 nobias bn relu6 " if expansion > 1 else ""
            pace = stride if step == 0 else 1
            body = f"{widen}dwconv:3s{pace}p1 nobias bn relu6 conv:{out}k1 nobias bn"
            inside.append(f"res({body})" if pace == 1 and channels == out else body)
            channels = out
        parts.append(f"stage{number}=({' '.join(inside)})")
    parts.append("head=(conv:1280k1 nobias bn relu6) gap dropout0.2 classifier=linear:1280x1000")
    return " ".join(parts)


def _mobilenetv1() -> str:
    """Table 1 of the paper: a depthwise and a pointwise convolution, thirteen times."""
    table = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    pairs = [
        f"sep{number}=(dwconv:3s{stride}p1 nobias bn relu6 conv:{out}k1 nobias bn relu6)"
        for number, (out, stride) in enumerate(table, 1)
    ]
    return f"stem=(conv:3x32k3s2p1 nobias bn relu6) {' '.join(pairs)} gap dropout0.001 classifier=linear:1024x1000"


def _squeezenet() -> str:
    def fire(squeeze: int, expand: int) -> str:
        return f"conv:{squeeze}k1 relu cat(conv:{expand}k1 relu | conv:{expand}k3p1 relu)"

    fires = [(16, 64), (16, 64), (32, 128), (0, 0), (32, 128), (48, 192), (48, 192), (64, 256), (0, 0), (64, 256)]
    inside, number = [], 1
    for squeeze, expand in fires:
        if not squeeze:
            inside.append("pool3s2c")
            continue
        number += 1
        inside.append(f"fire{number}=({fire(squeeze, expand)})")
    return f"conv:3x96k7s2 relu pool3s2c {' '.join(inside)} dropout0.5 conv:1000k1 relu gap"


def _densenet(depths: Sequence[int]) -> Callable[[], str]:
    """Dense blocks of growth 32 from 64 channels; a transition halves channels and size."""
    layer = "cat( | bn relu conv:128k1 nobias bn relu conv:32k3p1 nobias)"

    def layers() -> str:
        parts, channels = ["conv0=conv:3x64k7s2p3 nobias bn relu pool3s2p1"], 64
        for number, depth in enumerate(depths, 1):
            parts.append(f"dense{number}=({depth}*({layer}))")
            channels += 32 * depth
            if number < len(depths):
                channels //= 2
                parts.append(f"transition{number}=(bn relu conv:{channels}k1 nobias avgpool2)")
        return f"{' '.join(parts)} bn relu gap classifier=linear:{channels}x1000"

    return layers


def _googlenet() -> str:
    def conv(out: int, rest: str = "k1") -> str:
        return f"conv:{out}{rest} nobias bn relu"

    def inception(one: int, less3: int, three: int, less5: int, five: int, pool: int) -> str:
        return (
            f"cat({conv(one)} | {conv(less3)} {conv(three, 'k3p1')} | "
            f"{conv(less5)} {conv(five, 'k3p1')} | pool3s1p1c {conv(pool)})"
        )

    table = {
        "3a": (64, 96, 128, 16, 32, 32),
        "3b": (128, 128, 192, 32, 96, 64),
        "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64),
        "4c": (128, 128, 256, 24, 64, 64),
        "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128),
        "5a": (256, 160, 320, 32, 128, 128),
        "5b": (384, 192, 384, 48, 128, 128),
    }
    blocks = []
    for name, widths in table.items():
        blocks.append(f"inception{name}=({inception(*widths)})")
        if name in ("3b", "4e"):
            blocks.append("pool3s2c" if name == "3b" else "pool2s2c")
    return f"""
        {conv(64, "k7s2p3")} pool3s2c {conv(64)} {conv(192, "k3p1")} pool3s2c
        {" ".join(blocks)} gap dropout0.2 fc=linear:1024x1000"""


def _vit(width: int, depth: int, heads: int, patch: int) -> Callable[[], str]:
    tokens = (224 // patch) ** 2 + 1
    return lambda: (
        f"patches=conv:3x{width}k{patch}s{patch} tokens cls pos:{tokens} "
        f"{depth}*block:{width}h{heads} ln first head=linear:{width}x1000"
    )


def _torchvision(
    name: str, title: str, year: int, paper: str, layers: Callable[[], str], published: int, top1: float
) -> Preset:
    return Preset(name, title, year, f"{TORCHVISION}, 224x224", paper, IMAGENET, layers, published=published, top1=top1)


PRESETS = [
    Preset(
        "lenet5",
        "LeNet-5",
        1998,
        "32x32, dense third layer (C3 sees all six maps), mean pooling without weights, linear output",
        "LeCun, Bottou, Bengio, Haffner 1998, Proc. IEEE 86(11)",
        (1, 32, 32),
        _lenet,
        published=61_706,
        rounded="60,000 with the sparse C3 of the paper",
    ),
    Preset(
        "alexnet-2012",
        "AlexNet of the paper",
        2012,
        "two towers as groups, 227x227 as in Caffe's copy, response normalisation left out",
        "Krizhevsky, Sutskever, Hinton 2012, NIPS 25",
        (3, 227, 227),
        _alexnet_2012,
        published=60_965_224,
        rounded="60 million in the paper",
    ),
    _torchvision(
        "alexnet",
        "AlexNet",
        2012,
        "Krizhevsky 2014, arXiv:1404.5997 (one tower; the two-tower model of 2012 has about 60 million)",
        _alexnet,
        61_100_840,
        56.522,
    ),
    _torchvision(
        "vgg11", "VGG-11", 2014, "Simonyan, Zisserman, arXiv:1409.1556", _vgg((1, 1, 2, 2, 2)), 132_863_336, 69.020
    ),
    _torchvision(
        "vgg13", "VGG-13", 2014, "Simonyan, Zisserman, arXiv:1409.1556", _vgg((2, 2, 2, 2, 2)), 133_047_848, 69.928
    ),
    _torchvision(
        "vgg16", "VGG-16", 2014, "Simonyan, Zisserman, arXiv:1409.1556", _vgg((2, 2, 3, 3, 3)), 138_357_544, 71.592
    ),
    _torchvision(
        "vgg16-bn",
        "VGG-16 with batch norm",
        2014,
        "Simonyan, Zisserman, arXiv:1409.1556",
        _vgg((2, 2, 3, 3, 3), norm=True),
        138_365_992,
        73.360,
    ),
    _torchvision(
        "vgg19", "VGG-19", 2014, "Simonyan, Zisserman, arXiv:1409.1556", _vgg((2, 2, 4, 4, 4)), 143_667_240, 72.376
    ),
    _torchvision(
        "googlenet",
        "GoogLeNet (Inception v1)",
        2014,
        "Szegedy et al., arXiv:1409.4842 (with batch norm, 3x3 in place of 5x5, no side heads)",
        _googlenet,
        6_624_904,
        69.778,
    ),
    _torchvision(
        "resnet18", "ResNet-18", 2015, "He et al., arXiv:1512.03385", _resnet((2, 2, 2, 2), False), 11_689_512, 69.758
    ),
    _torchvision(
        "resnet34", "ResNet-34", 2015, "He et al., arXiv:1512.03385", _resnet((3, 4, 6, 3), False), 21_797_672, 73.314
    ),
    _torchvision(
        "resnet50",
        "ResNet-50",
        2015,
        "He et al., arXiv:1512.03385 (stride in the 3x3 convolution)",
        _resnet((3, 4, 6, 3), True),
        25_557_032,
        76.130,
    ),
    _torchvision(
        "resnet101",
        "ResNet-101",
        2015,
        "He et al., arXiv:1512.03385 (stride in the 3x3 convolution)",
        _resnet((3, 4, 23, 3), True),
        44_549_160,
        77.374,
    ),
    _torchvision(
        "resnet152",
        "ResNet-152",
        2015,
        "He et al., arXiv:1512.03385 (stride in the 3x3 convolution)",
        _resnet((3, 8, 36, 3), True),
        60_192_808,
        78.312,
    ),
    _torchvision(
        "squeezenet", "SqueezeNet 1.0", 2016, "Iandola et al., arXiv:1602.07360", _squeezenet, 1_248_424, 58.092
    ),
    _torchvision(
        "densenet121",
        "DenseNet-121",
        2016,
        "Huang et al., arXiv:1608.06993",
        _densenet((6, 12, 24, 16)),
        7_978_856,
        74.434,
    ),
    _torchvision(
        "densenet169",
        "DenseNet-169",
        2016,
        "Huang et al., arXiv:1608.06993",
        _densenet((6, 12, 32, 32)),
        14_149_480,
        75.600,
    ),
    _torchvision(
        "densenet201",
        "DenseNet-201",
        2016,
        "Huang et al., arXiv:1608.06993",
        _densenet((6, 12, 48, 32)),
        20_013_928,
        76.896,
    ),
    _torchvision(
        "wide-resnet50",
        "Wide ResNet-50-2",
        2016,
        "Zagoruyko, Komodakis, arXiv:1605.07146",
        _resnet((3, 4, 6, 3), True, base=128),
        68_883_240,
        78.468,
    ),
    _torchvision(
        "resnext50",
        "ResNeXt-50 32x4d",
        2016,
        "Xie et al., arXiv:1611.05431",
        _resnet((3, 4, 6, 3), True, groups=32, base=4),
        25_028_904,
        77.618,
    ),
    Preset(
        "mobilenetv1",
        "MobileNet 1.0",
        2017,
        "224x224, as in the paper and TensorFlow's release, batch norm after each convolution",
        "Howard et al. 2017, arXiv:1704.04861",
        IMAGENET,
        _mobilenetv1,
        published=4_231_976,
        rounded="4.2 million and 569 million MACs in the paper",
    ),
    _torchvision(
        "mobilenetv2", "MobileNetV2 1.0", 2018, "Sandler et al., arXiv:1801.04381", _mobilenetv2, 3_504_872, 71.878
    ),
    _torchvision(
        "vit-b16", "ViT-B/16", 2020, "Dosovitskiy et al., arXiv:2010.11929", _vit(768, 12, 12, 16), 86_567_656, 81.072
    ),
    _torchvision(
        "vit-b32", "ViT-B/32", 2020, "Dosovitskiy et al., arXiv:2010.11929", _vit(768, 12, 12, 32), 88_224_232, 75.912
    ),
    _torchvision(
        "vit-l16",
        "ViT-L/16",
        2020,
        "Dosovitskiy et al., arXiv:2010.11929",
        _vit(1024, 24, 16, 16),
        304_326_632,
        79.662,
    ),
]
