"""What changes parameters during training, under the names of torch.optim: `optim.Adam(model.parameters())`."""

from tinytorch._doors import open_door, places

_TABLE = places(
    {
        "core.optimizers": "Optimizer SGD Adam AdamW RMSprop",
        "core.training": "clip_grad_norm CosineSchedule StepSchedule WarmupSchedule",
    }
)
__getattr__, __dir__ = open_door(__name__, _TABLE)
