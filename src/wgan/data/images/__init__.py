"""Images: folders, archives, IDX files, LSUN databases and arrays, packed once and drawn as floats in [-1, 1]."""

from wgan.data.images.codec import ImageCodec
from wgan.data.images.opening import images_from_array, open_embedded, open_images
from wgan.data.images.source import ImageSource

__all__ = ["ImageCodec", "ImageSource", "images_from_array", "open_embedded", "open_images"]
