"""Zip and tar archives of images, read member by member without extracting them to disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

from wgan.data.images.collection import (
    Collection,
    Encoded,
    Stream,
    Tally,
    first_tags,
    is_image,
    is_tags,
    refuse_escaping,
    too_many_bytes,
    unsafe_member,
)
from wgan.data.images.decoding import MAX_ENCODED_BYTES, BrokenImage
from wgan.errors import DataError
from wgan.system.text import escaped

_MAX_EXTENSION_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_EXTENSION_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_FETCH_AGAIN = "The archive is truncated or damaged: download or create it again."


class ZipArchive(Collection):
    """The images of a .zip archive, sorted by name."""

    noun = "zip archive"

    def stream(self, tally: Tally) -> Stream:
        """Yield names and contents, after a check of all members.

        Raises:
            DataError: The archive is damaged, encrypted, or has an unsafe member.
        """
        try:
            archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(
                f"{escaped(self.path)}: no zip directory at its end (byte {self.path.stat().st_size:,}): {error}",
                remedy=_FETCH_AGAIN,
            ) from None
        with archive:
            members = sorted(archive.infolist(), key=lambda member: member.filename)
            for member in members:
                self._check(member)
            if (tags := first_tags(member.filename for member in members)) is not None:
                self.tags = tags, self._read(archive, archive.getinfo(tags))
            for member in members:
                if not member.is_dir() and is_image(member.filename, tally):
                    yield member.filename, self._read(archive, member)

    def _check(self, member: zipfile.ZipInfo) -> None:
        refuse_escaping(member.filename, self.path)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise unsafe_member(
                member.filename, self.path, "it is a link" if kind == stat.S_IFLNK else "it is a device"
            )
        if member.flag_bits & 1:
            raise DataError(
                f"{escaped(self.path)}: its members are encrypted", remedy="Create the archive without a password."
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
    """Headers that raise an error if they are damaged; the standard library takes them for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _StrictTarInfo:
        member = super().frombuf(buf, encoding, errors)
        # Long names are read into memory; in a compressed archive they may be gigabytes long.
        if member.size < 0 or (member.type in _EXTENSION_HEADERS and member.size > _MAX_EXTENSION_BYTES):
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


# The argument of `fromtarfile` has the name of the module and hides it there.
_END_OF_ARCHIVE: type[tarfile.HeaderError] = tarfile.EOFHeaderError  # type: ignore[attr-defined]
_BAD_HEADER = tarfile.HeaderError
_READ_ERROR = tarfile.ReadError


def _unpacked(path: Path) -> IO[bytes] | gzip.GzipFile:
    """The uncompressed bytes of a tar archive. Unlike `tarfile`, these readers verify the checksum of gzip."""
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if start.startswith(b"BZh"):
        return bz2.open(path)
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.open(path)
    return path.open("rb")


class TarArchive(Collection):
    """The images of a .tar archive, plain or compressed, in the order of its members."""

    noun = "tar archive"

    def stream(self, tally: Tally) -> Stream:
        """Yield names and contents in one pass.

        Raises:
            DataError: The archive is damaged, or has an unsafe member.
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
                    if member.isreg() and is_image(member.name, tally):
                        yield member.name, self._read(archive, member)
                    elif member.isreg() and is_tags(member.name):
                        known = [self.tags[0]] if self.tags is not None else []
                        if first_tags([*known, member.name]) == member.name:
                            self.tags = member.name, self._read(archive, member)
                    # Otherwise the archive keeps all headers in memory.
                    archive.members.clear()  # type: ignore[attr-defined]
                # The checksum of the compressed file comes after the end of the archive.
                while unpacked.read(_CHUNK_BYTES):
                    pass
        except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            raise DataError(
                f"{escaped(self.path)}: cannot be read beyond byte {offset:,} (uncompressed): {error}",
                remedy=_FETCH_AGAIN,
            ) from None

    def _check(self, member: tarfile.TarInfo) -> None:
        refuse_escaping(member.name, self.path)
        if not (member.isreg() or member.isdir()):
            is_link = member.issym() or member.islnk()
            raise unsafe_member(member.name, self.path, "it is a link" if is_link else "it is a device")

    def _read(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Encoded:
        if member.size > MAX_ENCODED_BYTES:
            return too_many_bytes(member.size)
        if member.issparse():
            return BrokenImage("it is stored as a sparse file")
        file = archive.extractfile(member)
        assert file is not None
        content = file.read()
        if len(content) != member.size:
            raise tarfile.ReadError(f"member ends after {len(content):,} of {member.size:,} bytes")
        return content
