"""A classifier that draws in training mode."""

import torch
from torch import nn

from purification_bench.benchmark.assets.classifiers import Classifier
from purification_bench.benchmark.registries import register_classifier


@register_classifier("unsteady")
class Unsteady(Classifier):
    """Draws in training mode."""

    trained = False

    def __init__(self, shape, num_classes):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(shape[0], 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5))
        self.head = nn.Linear(4 * (shape[1] - 2) * (shape[2] - 2), num_classes)

    def forward(self, x):
        return self.head(self.layers(x))
