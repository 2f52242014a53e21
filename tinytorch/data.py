"""Samples, batches and data sets, under the names of torch.utils.data."""

from tinytorch._doors import open_door, places

_TABLE = places(
    {
        "core.dataloader": "Dataset TensorDataset Subset random_split DataLoader "
        "Compose RandomHorizontalFlip RandomCrop Normalize collate "
        "load_digits load_idx load_mnist load_cifar10 download_file",
    }
)
__getattr__, __dir__ = open_door(__name__, _TABLE)
