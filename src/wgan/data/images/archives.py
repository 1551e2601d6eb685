"""Zip and tar archives of images, read member by member and never extracted to disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import IO

from wgan.data.images.decoding import MAX_ENCODED_BYTES, BrokenImage
from wgan.data.images.members import (
    Encoded,
    Stamp,
    Stream,
    Tally,
    first_tags,
    is_tags,
    is_wanted,
    refuse_escaping,
    refused,
    too_many_bytes,
)
from wgan.data.images.naming import shown
from wgan.errors import DataError

_MAX_TAR_NOTE_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_TAR_NOTES = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_FETCH_AGAIN = "The archive is truncated or damaged: fetch or make it again."


def _stamp(path: Path) -> Stamp:
    """An archive's members cannot change without the archive."""
    taken = time.time_ns()
    return Stamp.of([("", path.stat())], taken)


class ZipArchive:
    """The images of a .zip archive, in the order of their names.

    Args:
        path: The archive.
    """

    noun = "zip archive"
    labelled = True
    listed = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tags: tuple[str, Encoded] | None = None

    def stamp(self) -> Stamp:
        """Of the archive."""
        return _stamp(self.path)

    def stream(self, tally: Tally) -> Stream:
        """Yield names and contents, after a look at all members.

        Raises:
            DataError: The archive is damaged, encrypted, or has a member that is refused.
        """
        try:
            archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(
                f"{shown(self.path)}: no zip directory at its end (byte {self.path.stat().st_size:,}): {error}",
                remedy=_FETCH_AGAIN,
            ) from None
        with archive:
            members = sorted(archive.infolist(), key=lambda member: member.filename)
            for member in members:
                self._check(member)
            if (tags := first_tags(member.filename for member in members)) is not None:
                self.tags = tags, self._read(archive, archive.getinfo(tags))
            for member in members:
                if not member.is_dir() and is_wanted(member.filename, tally):
                    yield member.filename, self._read(archive, member)

    def _check(self, member: zipfile.ZipInfo) -> None:
        refuse_escaping(member.filename, self.path)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refused(member.filename, self.path, "it is a link" if kind == stat.S_IFLNK else "it is a device")
        if member.flag_bits & 1:
            raise DataError(
                f"{shown(self.path)}: its members are encrypted", remedy="Make the archive without a password."
            )

    def _read(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Encoded:
        if member.file_size > MAX_ENCODED_BYTES:
            return too_many_bytes(member.file_size)
        try:
            return archive.read(member)
        except (
            zipfile.BadZipFile,
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            zlib.error,
            lzma.LZMAError,
        ) as error:
            return BrokenImage(f"its data from byte {member.header_offset:,} on are damaged ({error})")


class _StrictTarInfo(tarfile.TarInfo):
    """Headers that end the reading with an error where the standard library takes them for a quiet end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _StrictTarInfo:
        member = super().frombuf(buf, encoding, errors)
        # Long names are read into memory at once, and a compressed archive can make them gigabytes long.
        if member.size < 0 or (member.type in _TAR_NOTES and member.size > _MAX_TAR_NOTE_BYTES):
            raise tarfile.ReadError(f"a header states a size of {member.size:,} bytes")
        return member

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _StrictTarInfo:
        try:
            return super().fromtarfile(tarfile)
        except _END_OF_ARCHIVE:
            raise
        except _BAD_HEADER as error:
            raise _READ_ERROR(str(error)) from None


# `fromtarfile` must name its argument as its parent does, which hides the module there.
_END_OF_ARCHIVE: type[tarfile.HeaderError] = tarfile.EOFHeaderError  # type: ignore[attr-defined]
_BAD_HEADER = tarfile.HeaderError
_READ_ERROR = tarfile.ReadError


def _unpacked(path: Path) -> IO[bytes] | gzip.GzipFile:
    """The bytes of a tar, unpacked by readers that look at the checksum: those of `tarfile` do not for gzip."""
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if start.startswith(b"BZh"):
        return bz2.open(path)
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.open(path)
    return path.open("rb")


class TarArchive:
    """The images of a .tar archive, plain or compressed, in the order in which they lie in it.

    Args:
        path: The archive.
    """

    noun = "tar archive"
    labelled = True
    listed = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tags: tuple[str, Encoded] | None = None

    def stamp(self) -> Stamp:
        """Of the archive."""
        return _stamp(self.path)

    def stream(self, tally: Tally) -> Stream:
        """Yield names and contents in one pass from start to end.

        Raises:
            DataError: The archive is damaged, or has a member that is refused.
        """
        offset = 0
        try:
            with (
                _unpacked(self.path) as unpacked,
                tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_StrictTarInfo) as archive,
            ):
                while (member := archive.next()) is not None:
                    offset = archive.offset
                    self._check(member)
                    if member.isreg() and is_wanted(member.name, tally):
                        yield member.name, self._read(archive, member)
                    elif member.isreg() and is_tags(member.name):
                        before = [self.tags[0]] if self.tags is not None else []
                        if first_tags([*before, member.name]) == member.name:
                            self.tags = member.name, self._read(archive, member)
                    # The archive would otherwise keep every header until its end.
                    archive.members.clear()  # type: ignore[attr-defined]
                # The checksum of what was unpacked stands behind the end of the archive.
                while unpacked.read(_CHUNK_BYTES):
                    pass
        except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            raise DataError(
                f"{shown(self.path)}: cannot be read beyond byte {offset:,} (uncompressed): {error}",
                remedy=_FETCH_AGAIN,
            ) from None

    def _check(self, member: tarfile.TarInfo) -> None:
        refuse_escaping(member.name, self.path)
        if not (member.isreg() or member.isdir()):
            is_link = member.issym() or member.islnk()
            raise refused(member.name, self.path, "it is a link" if is_link else "it is a device")

    def _read(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Encoded:
        if member.size > MAX_ENCODED_BYTES:
            return too_many_bytes(member.size)
        if member.issparse():
            return BrokenImage("it is stored with holes")
        file = archive.extractfile(member)
        assert file is not None
        content = file.read()
        if len(content) != member.size:
            raise tarfile.ReadError(f"member ends after {len(content):,} of {member.size:,} bytes")
        return content
