"""Named hardware, and the roofline: what a layer can reach when memory must feed the arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from tito.analysis.cost import FLOPS_PER_MAC, Cost
from tito.analysis.walk import Row
from tito.errors import UsageError


@dataclass(frozen=True)
class Hardware:
    """Peak FLOP/s for each type of number, memory bandwidth in bytes/s, memory in bytes (0: not one number).

    Peaks are dense: those with structured sparsity are twice as high on paper.
    """

    name: str
    title: str
    peak: Mapping[str, float]
    bandwidth: float
    memory: int
    source: str

    def flops(self, dtype: str) -> float:
        """Peak for a type; a type without units of its own runs as the next wider one that has."""
        wider = {"int4": "int8", "int8": "fp16", "bf16": "fp16", "fp16": "fp32"}
        while dtype not in self.peak:
            dtype = wider[dtype]
        return self.peak[dtype]

    def ridge(self, dtype: str) -> float:
        """FLOPs a byte above which arithmetic is the limit, below which memory is."""
        return self.flops(dtype) / self.bandwidth


T, G, GIB = 1e12, 1e9, 2**30

HARDWARE = [
    Hardware(
        "pi5",
        "Raspberry Pi 5 (4 x Cortex-A76, 2.4 GHz)",
        {"fp32": 153.6 * G},
        17.1 * G,
        8 * GIB,
        "4 cores x 2.4 GHz x 16 FLOPs a cycle (Arm Cortex-A76 guide); LPDDR4X-4267, 32 bits (product brief)",
    ),
    Hardware(
        "laptop",
        "Intel Core i7-1165G7 (4 cores, 2.8 GHz)",
        {"fp32": 358.4 * G},
        68.3 * G,
        16 * GIB,
        "4 cores x 2.8 GHz x 32 FLOPs a cycle (AVX-512); LPDDR4x-4266, 128 bits (Intel ARK)",
    ),
    Hardware(
        "m1",
        "Apple M1, 8-core GPU",
        {"fp32": 2.6 * T},
        68.25 * G,
        16 * GIB,
        "Apple, M1 announcement, November 2020 (2.6 TFLOPS); LPDDR4X-4266, 128 bits",
    ),
    Hardware(
        "t4",
        "NVIDIA T4",
        {"fp32": 8.1 * T, "fp16": 65 * T, "int8": 130 * T, "int4": 260 * T},
        320 * G,
        16 * GIB,
        "NVIDIA T4 product brief and Turing architecture paper (2018)",
    ),
    Hardware(
        "v100",
        "NVIDIA V100 SXM2",
        {"fp32": 15.7 * T, "fp16": 125 * T},
        900 * G,
        32 * GIB,
        "NVIDIA V100 datasheet (2020)",
    ),
    Hardware(
        "rtx3090",
        "NVIDIA GeForce RTX 3090",
        {"fp32": 35.6 * T, "fp16": 71 * T, "int8": 284 * T},
        936 * G,
        24 * GIB,
        "NVIDIA GA102 architecture paper (2020), tensor cores with fp32 accumulation",
    ),
    Hardware(
        "rtx4090",
        "NVIDIA GeForce RTX 4090",
        {"fp32": 82.6 * T, "fp16": 165.2 * T, "int8": 660.6 * T},
        1008 * G,
        24 * GIB,
        "NVIDIA Ada architecture paper (2022), tensor cores with fp32 accumulation",
    ),
    Hardware(
        "a100",
        "NVIDIA A100 SXM 80 GB",
        {"fp32": 19.5 * T, "fp16": 312 * T, "int8": 624 * T, "int4": 1248 * T},
        2039 * G,
        80 * GIB,
        "NVIDIA A100 datasheet (2021)",
    ),
    Hardware(
        "h100",
        "NVIDIA H100 SXM 80 GB",
        {"fp32": 67 * T, "fp16": 989.5 * T, "int8": 1979 * T},
        3350 * G,
        80 * GIB,
        "NVIDIA H100 datasheet (2023), without sparsity",
    ),
    Hardware(
        "tpuv4",
        "Google TPU v4, one chip",
        {"fp32": 275 * T, "fp16": 275 * T, "int8": 275 * T},
        1200 * G,
        32 * GIB,
        "Jouppi et al. 2023, arXiv:2304.01433 (bf16 and int8; fp32 runs as bf16 products)",
    ),
]

DEFAULT = "laptop"


def find(name: str, option: str = "--hw") -> Hardware:
    """The hardware of this name. Raises UsageError that lists what there is."""
    known = {one.name: one for one in HARDWARE}
    plain = name.lower().replace("-", "").replace("_", "").replace(" ", "")
    if plain in known:
        return known[plain]
    near = get_close_matches(plain, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"{option} {name} is not known", f"{hint}there are this (measured here), {', '.join(known)}")


@dataclass(frozen=True)
class Point:
    """One layer on the roofline: its FLOPs, the bytes it moves, what it can reach and how long that takes at least."""

    name: str
    flops: int
    moved: int
    attainable: float  # FLOP/s
    seconds: float
    bound: str  # "arithmetic", "memory", or "" for a layer that does neither

    @property
    def intensity(self) -> float:
        """FLOPs a byte moved."""
        return self.flops / self.moved if self.moved else 0.0


def moved_bytes(cost: Cost, row: Row) -> int:
    """Bytes a layer must move at inference: parameters, inputs, output once each; an embedding only what it reads."""
    if row.output in row.reads or row.idle:
        return 0
    activations = sum(map(cost.bytes_of, {*row.reads, row.output}))
    if row.kind == "embed":
        return activations + cost.bytes_of(row.output)
    table = 0
    if row.note.startswith("weights shared"):
        table = row.macs.value // max(1, cost.tensors[row.output].numbers) * row.output_shape[-1]
    return activations + -(-(row.params.value + table) * cost.dtype.weight_bits // 8)


def roofline(cost: Cost, hardware: Hardware) -> tuple[Point, ...]:
    """Each layer against the roof: min(peak, intensity x bandwidth), forward pass."""
    peak = hardware.flops(cost.options.dtype)
    points = []
    for row in cost.rows:
        flops, moved = FLOPS_PER_MAC * row.macs.value, moved_bytes(cost, row)
        by_arithmetic, by_memory = flops / peak, moved / hardware.bandwidth
        bound = "" if not moved else "arithmetic" if by_arithmetic >= by_memory else "memory"
        attainable = min(peak, flops / moved * hardware.bandwidth) if moved else 0.0
        points.append(Point(row.name, flops, moved, attainable, max(by_arithmetic, by_memory), bound))
    return tuple(points)
