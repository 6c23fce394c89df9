"""Digits of scikit-learn in the shape of MAITE's datasets and models: real data, and nothing to download.

Imported by workers, so it imports neither pytest nor what only tests need.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

NAMES = {number: str(number) for number in range(10)}
SIDE = 64


@dataclass
class Boxes:
    """An object detection target."""

    boxes: Any
    labels: Any
    scores: Any


def images(count: int, *, side: int = SIDE, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Colour images of digits as (count, 3, side, side) bytes, and what each shows."""
    found = load_digits()
    chosen = np.random.default_rng(seed).permutation(len(found.images))[:count]
    small = (found.images[chosen] * 15).astype(np.uint8)
    large = np.kron(small, np.ones((1, side // 8, side // 8), np.uint8))
    return np.repeat(large[:, None], 3, axis=1), found.target[chosen]


class Classified:
    """Images and, of each, which digit it is."""

    def __init__(self, count: int = 24, *, name: str = "digits", seed: int = 0, side: int = SIDE) -> None:
        self.metadata = {"id": f"{name}-{count}", "index2label": NAMES}
        self.images, self.labels = images(count, seed=seed, side=side)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, Any, dict[str, Any]]:
        target = np.eye(10, dtype=np.float32)[self.labels[index]]
        return self.images[index], target, self.about(index)

    def about(self, index: int) -> dict[str, Any]:
        """What is known of an image beside its target."""
        brightness = round(float(self.images[index].mean()), 3)
        return {"id": f"digit-{index}", "brightness": brightness, "half": ("upper", "lower")[index % 2]}


class Located(Classified):
    """Images with two digits each, and where they are."""

    def __init__(self, count: int = 24, *, name: str = "located", seed: int = 1) -> None:
        super().__init__(2 * count, name=name, seed=seed)
        self.metadata["id"] = f"{name}-{count}"

    def __len__(self) -> int:
        return len(self.labels) // 2

    def __getitem__(self, index: int) -> tuple[Any, Any, dict[str, Any]]:
        if not 0 <= index < len(self):
            raise IndexError(index)  # where iteration ends
        pair = slice(2 * index, 2 * index + 2)
        image = np.concatenate(list(self.images[pair]), axis=2)
        boxes = np.array([[4, 4, SIDE - 4, SIDE - 4], [SIDE + 4, 4, 2 * SIDE - 4, SIDE - 4]], np.float32)
        return image, Boxes(boxes, self.labels[pair], np.ones(2, np.float32)), self.about(index)


class Classifier:
    """A small network with random weights that are the same each time."""

    def __init__(self, name: str = "small-classifier", width: int = 4) -> None:
        self.metadata = {"id": name, "index2label": NAMES}
        self.index2label = NAMES
        self.network = _seeded(lambda: nn.Sequential(
            nn.Conv2d(3, width, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(16 * width, 10), nn.Softmax(1),
        ))  # fmt: skip

    def __call__(self, batch: Any) -> Any:
        with torch.no_grad():
            stacked = torch.stack([torch.as_tensor(np.asarray(image), dtype=torch.float32) / 255 for image in batch])
            return list(self.network(stacked).numpy())


class Detector:
    """Finds a digit in each half of an image; a small network with random weights says which."""

    def __init__(self, name: str = "small-detector") -> None:
        self.metadata = {"id": name, "index2label": NAMES}
        self.index2label = NAMES
        self.classifier = Classifier()

    def __call__(self, batch: Any) -> Any:
        return [self._found(np.asarray(image)) for image in batch]

    def _found(self, image: Any) -> Boxes:
        height, width = image.shape[-2:]
        middle = width // 2
        scores = np.stack(self.classifier([image[..., :middle], image[..., middle : 2 * middle]]))
        boxes = np.array([[4, 4, middle - 4, height - 4], [middle + 4, 4, width - 4, height - 4]], np.float32)
        return Boxes(boxes, scores.argmax(1), scores.max(1))


@dataclass
class Frame:
    """A frame of a video."""

    pixels: Any
    time_s: float
    pts: int
    frame_index: int


@dataclass
class Tracks(Boxes):
    """What is seen in a frame, and of which object it is."""

    track_ids: Any


@dataclass
class Tracked:
    """A multi-object tracking target."""

    frame_tracks: list[Tracks]


class Videos:
    """Videos of two digits that move to the right, each on its own half, and where they are in each frame."""

    def __init__(self, count: int = 2, *, frames: int = 4, name: str = "moving") -> None:
        self.metadata = {"id": f"{name}-{count}", "index2label": NAMES}
        self.images, self.labels = images(2 * count, seed=2)
        self.frames = frames

    def __len__(self) -> int:
        return len(self.labels) // 2

    def __getitem__(self, index: int) -> tuple[Any, Any, dict[str, Any]]:
        if not 0 <= index < len(self):
            raise IndexError(index)  # where iteration ends
        pair = slice(2 * index, 2 * index + 2)
        still, labels = np.concatenate(list(self.images[pair]), axis=1), self.labels[pair]
        pixels = [np.pad(still, ((0, 0), (0, 0), (step, SIDE - step))) for step in range(self.frames)]
        video = [Frame(each, step / 10, step, step) for step, each in enumerate(pixels)]
        target = Tracked([_tracks(step, labels, np.ones(2, np.float32)) for step in range(self.frames)])
        return video, target, {"id": f"video-{index}", "height": 2 * SIDE, "width": 2 * SIDE}


class Tracker:
    """Says that the first bright column of a frame is where both digits begin; a small network says which they are."""

    def __init__(self, name: str = "small-tracker") -> None:
        self.metadata = {"id": name, "index2label": NAMES}
        self.index2label = NAMES
        self.classifier = Classifier()

    def __call__(self, batch: Any) -> Any:
        return [Tracked([self._found(np.asarray(frame.pixels)) for frame in video]) for video in batch]

    def _found(self, image: Any) -> Tracks:
        bright = np.flatnonzero(image.any(axis=(0, 1)))
        begin = int(bright[0]) if len(bright) else 0
        scores = np.stack(self.classifier([image[:, :SIDE], image[:, SIDE:]]))
        return _tracks(begin, scores.argmax(1), scores.max(1))


def _tracks(left: int, labels: Any, scores: Any) -> Tracks:
    boxes = np.array([[left, 0, left + SIDE, SIDE], [left, SIDE, left + SIDE, 2 * SIDE]], np.float32)
    return Tracks(boxes, labels, scores, np.arange(2))


def random_weights(folder: Path) -> None:
    """Put random weights where torchvision would put the pretrained ones that it fetches for embeddings.

    Args:
        folder: ``TORCH_HOME``.
    """
    from torchvision.models import EfficientNet_B0_Weights, efficientnet_b0

    place = folder / "hub/checkpoints" / EfficientNet_B0_Weights.DEFAULT.url.rpartition("/")[2]
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        torch.save(_seeded(efficientnet_b0).state_dict(), place)


def _seeded(make: Any) -> Any:
    state = torch.get_rng_state()
    torch.manual_seed(0)
    made = make().eval()
    torch.set_rng_state(state)
    return made
