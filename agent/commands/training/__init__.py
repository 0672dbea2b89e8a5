"""The commands around a training: the images that are kept for it, and the model that comes of it.

`images.py`: list them, and return one; `take_over.py`: put a trained model in place of the camera's bundle.
"""

from agent.commands.training.images import (
    ReviewImageRequest,
    ReviewImagesRequest,
    list_training_images,
    return_training_image,
)
from agent.commands.training.take_over import BundleTakeRequest, BundleTakeResult, take_bundle

__all__ = [
    "BundleTakeRequest",
    "BundleTakeResult",
    "ReviewImageRequest",
    "ReviewImagesRequest",
    "list_training_images",
    "return_training_image",
    "take_bundle",
]
