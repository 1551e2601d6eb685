"""Run as a program: write the entries of an LMDB to standard output.

LMDB maps its file without checks, so that a damaged file can crash the process that reads it. This program runs in a
subprocess for that reason. It imports nothing of this project, which makes it start fast.

Frames: one letter, two lengths, the two contents. I: file size stated and found, number of entries (as text). E: key
and value. B: key and the reason why its value is not sent. X: an error. D: the end.
"""

import struct
import sys
from pathlib import Path


def main(path: Path, max_bytes: int) -> None:
    """Write all entries of the database at `path` whose values have at most `max_bytes`."""
    out = sys.stdout.buffer

    def send(kind: bytes, first: bytes, second: bytes = b"") -> None:
        out.write(struct.pack(">cII", kind, len(first), len(second)))
        out.write(first)
        out.write(second)

    try:
        import lmdb

        file = path / "data.mdb" if path.is_dir() else path
        with lmdb.open(
            str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=True, max_readers=1, max_spare_txns=1
        ) as env:
            stated = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
            send(b"I", f"{stated} {file.stat().st_size} {env.stat()['entries']}".encode())
            out.flush()
            with env.begin(buffers=True) as transaction, transaction.cursor() as cursor:
                for key, value in cursor:
                    if len(value) > max_bytes:
                        send(b"B", bytes(key), str(len(value)).encode())
                    else:
                        send(b"E", bytes(key), bytes(value))
        send(b"D", b"")
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        send(b"X", f"{type(error).__name__}: {error}".encode())
    out.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
