# Numbers in a dtype so coarse that many are the same.
# on: solved
# %% profiler
class LayerArchitectureProfiler:
    def __init__(self, show=True):
        self.show = show
    def _layer(self, a, b):
        total = a * b + b
        return {"input_size": a, "output_size": b, "weight_parameters": a * b, "bias_parameters": b,
                "total_parameters": total, "memory_bytes": 4 * total, "memory_mb": np.float16(4.02 * total / 1e6),
                "flops": 2 * a * b + b}
    def _network(self, sizes):
        details = [self._layer(*pair) for pair in pairwise(sizes)]
        keys = ("weight_parameters", "bias_parameters", "total_parameters", "memory_bytes", "flops")
        counts = {key: sum(layer[key] for layer in details) for key in keys}
        mb = np.float16(4.02 * counts["total_parameters"] / 1e6)
        return {**counts, "network_architecture": list(sizes), "num_layers": len(details), "memory_mb": mb,
                "total_memory_mb": mb, "layer_details": details}
    def analyze_layer_parameters(self, a, b, c):
        return self._network([a, b, c])
    def analyze_network_scaling(self, a, hidden, c):
        network = self._network([a, *hidden, c])
        if self.show:
            print([f"{layer['total_parameters']:,}" for layer in (*network["layer_details"], network)])
            print([f"{layer['weight_parameters']:,}" for layer in (*network["layer_details"], network)])
        return network
    def compare_architectures(self, a, named, c):
        return {name: self._network([a, *hidden, c]) for name, hidden in named.items()}
    def analyze_depth_vs_width_tradeoffs(self, a=784, c=10, wide=(512, 512), deep=(128, 128, 128, 128)):
        return {"wide": self._network([a, *wide, c]), "deep": self._network([a, *deep, c])}
