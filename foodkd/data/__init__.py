"""Photos: opening any file safely, the datasets, packing, augmentation. The first room of the house."""

from foodkd.data.augment import Augmentation, Augmenter, Batch
from foodkd.data.datasets import DATASETS, Photos, channel_statistics, open_photos
from foodkd.data.listing import SPLITS, DataWarning
from foodkd.data.photos import FORMATS, MAX_PIXELS, PhotoError, open_photo
from foodkd.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from foodkd.data.sampling import batch_order

__all__ = [
    "DATASETS",
    "FORMATS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "MAX_PIXELS",
    "SPLITS",
    "Augmentation",
    "Augmenter",
    "Batch",
    "DataWarning",
    "PhotoError",
    "Photos",
    "Preprocessing",
    "batch_order",
    "channel_statistics",
    "open_photo",
    "open_photos",
]
