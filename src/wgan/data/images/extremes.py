"""How much of their range the images of files use, and what they are given back as."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from wgan.data.images.decoding import BLACK_AND_WHITE, SIXTEEN_BIT, WHITE_OF_16_BITS, Decoded, Policy, Survey
from wgan.data.images.ranges import LEVELS, note_on_cut, note_on_narrow
from wgan.data.images.source import ImageCodec
from wgan.errors import UsageError


@dataclass
class Extremes:
    """The least and the largest value of images that are decoded one after another.

    Attributes:
        range: Of black and white, where the user names it.
        low: The least value so far.
        high: The largest so far.
        num_cut: Images so far that go beyond the range.
    """

    range: tuple[float, float] | None
    low: float = math.inf
    high: float = -math.inf
    num_cut: int = 0

    def add(self, image: Decoded) -> None:
        """Take one more image into account."""
        self.low, self.high = min(self.low, image.low), max(self.high, image.high)
        if self.range is not None:
            self.num_cut += image.low < self.range[0] or image.high > self.range[1]

    def note(self) -> str:
        """What is to be said of images that were cut to the range; empty where there are none."""
        return "" if self.range is None else note_on_cut(self.num_cut, *self.range)

    def judge(self, codec: ImageCodec, survey: Survey) -> tuple[ImageCodec, str]:
        """The codec with the dtype and range of the files, and a note where they use little of that range.

        Args:
            codec: Of what the images became.
            survey: Of what they were.
        """
        dtype: np.dtype[np.generic] = np.dtype(np.uint8)
        white = LEVELS
        if set(survey.modes) == {SIXTEEN_BIT}:
            dtype, white = np.dtype(np.uint16), WHITE_OF_16_BITS
        if set(survey.modes) == {BLACK_AND_WHITE}:
            return replace(codec, dtype=np.dtype(np.bool_), low=0.0, high=1.0), ""
        low, high = self.range or (0.0, float(white))
        narrow = "" if self.range else note_on_narrow(self.low, self.high, 0.0, white)
        return replace(codec, dtype=dtype, low=low, high=high), narrow


def refuse_range(survey: Survey, policy: Policy, name: str) -> None:
    """Refuse a range where it would mean one thing for some of the images and another for others.

    Raises:
        UsageError: Some images have 16 bits and others 8; an alpha channel; black and white alone.
    """
    remedy = "Leave --range out, or bring the images to one form first."
    if SIXTEEN_BIT in survey.modes and len(survey.modes) > 1:
        raise UsageError(f"{name}: --range is given, but some images have 16 bits and others 8", remedy=remedy)
    if policy.mode == "RGBA":
        raise UsageError(f"{name}: --range cannot be used with an alpha channel", remedy="Use --mode RGB too.")
    if set(survey.modes) == {BLACK_AND_WHITE}:
        raise UsageError(f"{name}: --range means nothing for black and white images", remedy="Leave it out.")
