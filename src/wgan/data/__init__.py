"""The data room: points, tables and images, all answering the same calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wgan.system.lazy import lazy_names

if TYPE_CHECKING:
    from wgan.data.codec_state import codec_from_state, conditions_from_state
    from wgan.data.conditions import Conditions
    from wgan.data.differences import codec_differences
    from wgan.data.names import BUILT_IN, kind_of
    from wgan.data.opening import open_data
    from wgan.data.source import Codec, Labelled, Source

__all__ = [
    "BUILT_IN",
    "Codec",
    "Conditions",
    "Labelled",
    "Source",
    "codec_differences",
    "codec_from_state",
    "conditions_from_state",
    "kind_of",
    "open_data",
]

# The command line reads names of data sets without importing torch.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "codec_state": "codec_from_state conditions_from_state",
        "conditions": "Conditions",
        "differences": "codec_differences",
        "names": "BUILT_IN kind_of",
        "opening": "open_data",
        "source": "Codec Labelled Source",
    },
)
