"""Every reader of files that others may have written: the modules it tests, its files and how it reads them."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from PIL import Image

from wgan import WGAN, runs
from wgan.data import codec_from_state, conditions_from_state, open_data
from wgan.data.images.cache import read_entry
from wgan.data.names import kind_of
from wgan.report import write_report
from wgan.report.runs import read_runs
from wgan.settings import DataOptions, Settings, from_toml, to_toml
from wgan.system.storage import DamagedError, seal

SEED = 0
NUM = 12


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader and valid files for it.

    Attributes:
        of: The modules that read, relative to `wgan`.
        make: Writes the files into an empty folder, and returns those to damage.
        read: Reads the files in the folder.
        is_json: Whether values of JSON are damaged, too, and not only bytes.
        is_slow: Whether reading takes long, so that it is tried less often.
    """

    of: tuple[str, ...]
    make: Callable[[Path], list[Path]]
    read: Callable[[Path], object]
    is_json: bool = False
    is_slow: bool = False


def open_and_draw(data: Path | object, **options: Any) -> object:
    """Open data, and draw a batch as training does."""
    import torch

    source = open_data(data, DataOptions(**options), seed=SEED)
    batch = source.sample(2, torch.Generator().manual_seed(SEED))
    source.describe()
    source.fingerprint()
    return source.codec.decode(batch.values)


def file_reader(of: str, name: str, content: Callable[[], bytes], **options: Any) -> Reader:
    """A reader of data in a single file."""

    def make(folder: Path) -> list[Path]:
        (folder / name).write_bytes(content())
        return [folder / name]

    def read(folder: Path) -> object:
        kind_of(str(folder / name))
        return open_and_draw(folder / name, **options)

    return Reader(of=(of, "data.names"), make=make, read=read)


def picture(number: int = 0, format: str = "PNG", **options: Any) -> bytes:
    """An encoded image of 8 × 8 pixels."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=format, **options)
    return buffer.getvalue()


def _npy(shape: tuple[int, ...], dtype: str = "f4") -> Callable[[], bytes]:
    def content() -> bytes:
        buffer = io.BytesIO()
        numbers = np.random.default_rng(0).random(shape) * 100
        np.save(buffer, numbers.astype(dtype))
        return buffer.getvalue()

    return content


def _npz() -> bytes:
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    np.savez(buffer, x=rng.random((NUM, 4, 4)), y=rng.integers(0, 3, NUM))
    return buffer.getvalue()


def _csv() -> bytes:
    rows = [f'{n},{n / 3:.3f},"word {n % 3}",2024-01-{n + 1:02d},' for n in range(NUM)]
    return "\n".join(["whole,part,word,day,none", *rows]).encode()


def table() -> pa.Table:
    """A table with columns of many types."""
    n = range(NUM)
    whole = pa.array(list(n), pa.int64())
    return pa.table(
        {
            "whole": whole,
            "part": pa.array([i / 3 for i in n], pa.float32()),
            "word": pa.array([f"w{i % 3}" for i in n]),
            "kind": pa.array([f"k{i % 2}" for i in n]).dictionary_encode(),
            "flag": pa.array([i % 2 == 0 for i in n]),
            "time": whole.cast(pa.timestamp("us", tz="Europe/Paris")),
            "day": pa.array(list(n), pa.int32()).cast(pa.date32()),
            "span": whole.cast(pa.duration("ms")),
            "price": whole.cast(pa.decimal128(30, 2)),
        }
    )


def _jsonl() -> bytes:
    rows = [{"whole": n, "part": n / 3, "word": f"w{n % 3}", "none": None, "flag": n % 2 == 0} for n in range(NUM)]
    return "\n".join(map(json.dumps, rows)).encode()


def _feather() -> bytes:
    buffer = io.BytesIO()
    pyarrow.feather.write_feather(table(), buffer)
    return buffer.getvalue()


def _zstd() -> bytes:
    compressed: bytes = pa.Codec("zstd").compress(_csv(), asbytes=True)
    return compressed


def _zip_of_csv() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", _csv())
    return buffer.getvalue()


def _parquet() -> bytes:
    buffer = io.BytesIO()
    described = table().replace_schema_metadata(
        {b"pandas": b'{"index_columns": [], "columns": []}', b"more": b"x" * 50}
    )
    pyarrow.parquet.write_table(described, buffer)
    return buffer.getvalue()


def _idx() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (NUM, 8, 8), dtype=np.uint8)
    return struct.pack(">IIII", 0x803, NUM, 8, 8) + pixels.tobytes()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(NUM):
            archive.writestr(f"{'ab'[number % 2]}/{number}.png", picture(number))
    return buffer.getvalue()


def _tar(mode: str) -> Callable[[], bytes]:
    def content() -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as archive:
            for number in range(NUM):
                member = tarfile.TarInfo(f"{'ab'[number % 2]}/{number}.png")
                encoded = picture(number)
                member.size = len(encoded)
                archive.addfile(member, io.BytesIO(encoded))
        return buffer.getvalue()

    return content


def _folder(format: str, ending: str) -> Reader:
    def make(folder: Path) -> list[Path]:
        (folder / "pictures").mkdir()
        for number in range(NUM):
            (folder / "pictures" / f"{number}.{ending}").write_bytes(picture(number, format))
        return [folder / "pictures" / f"0.{ending}"]

    return Reader(
        of=("data.images.decoding", "data.images.folders"),
        make=make,
        read=lambda folder: open_and_draw(folder / "pictures"),
    )


def _tagged() -> Reader:
    def make(folder: Path) -> list[Path]:
        _folder("PNG", "png").make(folder)
        rows = "\n".join(f"{number}.png,{'ab'[number % 2]},{number / 7:.3f}" for number in range(NUM))
        (folder / "pictures" / "tags.csv").write_text(f"name,kind,part\n{rows}\n")
        return [folder / "pictures" / "tags.csv"]

    def read(folder: Path) -> object:
        return open_and_draw(folder / "pictures", condition=("kind", "part"))

    return Reader(of=("data.images.tags",), make=make, read=read)


def _lmdb() -> Reader:
    def make(folder: Path) -> list[Path]:
        import lmdb

        with lmdb.open(str(folder / "lsun"), map_size=1 << 20) as env, env.begin(write=True) as transaction:
            for number in range(NUM):
                transaction.put(f"{number:03d}".encode(), picture(number))
        return [folder / "lsun" / "data.mdb"]

    return Reader(
        of=("data.images.lsun", "data.images.lsun_reader"),
        make=make,
        read=lambda folder: open_and_draw(folder / "lsun"),
        is_slow=True,
    )


def _pack() -> Reader:
    def make(folder: Path) -> list[Path]:
        _folder("PNG", "png").make(folder)
        open_data(folder / "pictures", DataOptions(), seed=SEED, cache=folder / "cache")
        packs = [path.parent for path in (folder / "cache").rglob("pack.json")]
        return [packs[0] / "pack.json", packs[0] / "pixels.npy"]

    def read(folder: Path) -> object:
        for path in list((folder / "cache").rglob("pack.json")):
            # An edited file may have a matching checksum.
            with contextlib.suppress(ValueError, RecursionError, AttributeError):
                content = json.loads(path.read_bytes())
                content.pop("sha256", None)
                path.write_bytes(seal(content))
            with contextlib.suppress(DamagedError):
                read_entry(path.parent)
        return open_data(folder / "pictures", DataOptions(), seed=SEED, cache=folder / "cache").fingerprint()

    return Reader(of=("data.images.cache",), make=make, read=read, is_json=True)


def _settings() -> Reader:
    def make(folder: Path) -> list[Path]:
        chosen = Settings(data="ring", input=DataOptions(ignore=("a", "b")))
        (folder / "settings.toml").write_text(to_toml(chosen), encoding="utf-8")
        return [folder / "settings.toml"]

    return Reader(of=("settings.toml",), make=make, read=lambda folder: from_toml(folder / "settings.toml"))


SMALL = Settings(
    steps=2,
    batch_size=4,
    critic_steps=1,
    generator="mlp:width=4,depth=1",
    critic="mlp:width=4,depth=1",
    latent_dim=2,
    ema_decay=0.9,
    log_every=1,
    eval_every=1,
    eval_size=6,
    save_every=1,
    device="cpu",
    precision="float32",
    engine="eager",
    threads=1,
)
"""Settings of a very short run."""


def run_of(kind: str, folder: Path) -> Path:
    """Train on data of a kind in `folder / "run"`, and return that path."""
    import dataclasses

    data = {
        "points": np.random.default_rng(0).normal(size=(40, 3)),
        "table": pa.concat_tables([table()] * 4),
        "images": np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8),
    }[kind]
    options = DataOptions(condition=("kind", "part") if kind == "table" else (), held_out=0.25)
    source = open_data(data, options, seed=SEED)
    settings = dataclasses.replace(SMALL, data=f"<{kind} in memory>", input=options)
    with runs.begin(settings, folder / "run", source=source) as run:
        list(run.run())
    return folder / "run"


_MADE: dict[str, Path] = {}


def copied_run(kind: str, folder: Path) -> Path:
    """A copy of a run that is trained once."""
    if kind not in _MADE:
        import tempfile

        _MADE[kind] = run_of(kind, Path(tempfile.mkdtemp(prefix="hostile-")))
    return Path(shutil.copytree(_MADE[kind], folder / "run"))


def use_run(folder: Path) -> None:
    """Use a run in every way that needs no data; a refusal does not stop the others."""
    from wgan.errors import WganError

    run, refused = folder / "run", []
    for use in (
        lambda: runs.load(run).sample(3),
        lambda: runs.load(run, checkpoint="best").sample(3),
        lambda: WGAN.load(run).sample(2),
        lambda: read_runs([run]),
        lambda: runs.resume(run, steps=3),
    ):
        try:
            use()
        except WganError as error:
            refused.append(error)


def _run(kind: str, *names: str, is_json: bool = True, read: Callable[[Path], object] = use_run) -> Reader:
    def make(folder: Path) -> list[Path]:
        run = copied_run(kind, folder)
        return [path for name in names for path in sorted(run.glob(name))]

    return Reader(
        of=(
            "runs.metadata",
            "runs.record",
            "runs.hash_chain",
            "report.record",
            "report.runs",
            "estimator.keeping",
        ),
        make=make,
        read=read,
        is_json=is_json,
        is_slow=True,
    )


def report(folder: Path) -> Path:
    """Write the report of a run."""
    return write_report(folder / "run")


def _checkpoint(name: str) -> Reader:
    """The files of the last checkpoint, with checksums that match after the damage."""
    import hashlib

    from wgan.runs.checkpoints.format import MANIFEST, STATE, TENSORS

    def make(folder: Path) -> list[Path]:
        run = copied_run("points", folder)
        return [run / "checkpoints" / "00000002" / name]

    def read(folder: Path) -> object:
        path = folder / "run" / "checkpoints" / "00000002"
        manifest = json.loads((path / MANIFEST).read_bytes()) if name != MANIFEST else None
        if manifest is not None:
            for file in (STATE, TENSORS):
                content = (path / file).read_bytes()
                manifest["files"][file] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            manifest.pop("sha256")
            (path / MANIFEST).write_bytes(seal(manifest))
        else:
            try:
                content = json.loads((path / MANIFEST).read_bytes())
                content.pop("sha256", None)
                (path / MANIFEST).write_bytes(seal(content))
            except (ValueError, AttributeError, RecursionError):
                pass
        return use_run(folder)

    is_json = name.endswith("json")
    return Reader(
        of=("runs.checkpoints.format", "runs.checkpoints.loading"), make=make, read=read, is_json=is_json, is_slow=True
    )


def _state(kind: str) -> Reader:
    """The codec and conditions of a run, damaged without regard to checksums."""

    def make(folder: Path) -> list[Path]:
        stored = json.loads((copied_run(kind, folder) / "source.json").read_bytes())
        kept = {"codec": stored["codec"], "conditions": stored.get("conditions")}
        (folder / "state.json").write_text(json.dumps(kept))
        return [folder / "state.json"]

    def read(folder: Path) -> object:
        import torch

        try:
            state = json.loads((folder / "state.json").read_bytes())
        except (ValueError, RecursionError):
            return None
        if not isinstance(state, dict):
            return None
        codec = codec_from_state(state.get("codec"))
        conditions = conditions_from_state(state.get("conditions"))
        if codec.layout.size < 10_000:
            codec.decode(torch.randn(3, *codec.layout.shape))
        if conditions is not None:
            drawn = conditions.draw(3, torch.Generator().manual_seed(0))
            conditions.decode(drawn)
            conditions.describe()
        return codec

    return Reader(of=("data.codec_state", "data.tables.codec", "data.points"), make=make, read=read, is_json=True)


def _model() -> Reader:
    def make(folder: Path) -> list[Path]:
        if "model" not in _MADE:
            import tempfile

            path = Path(tempfile.mkdtemp(prefix="hostile-")) / "model"
            frame = table().select(["whole", "part", "word"]).to_pandas()
            WGAN(
                steps=1, batch_size=4, generator="mlp:width=4", critic="mlp:width=4", random_state=0, latent_dim=2
            ).fit(frame).save(path)
            _MADE["model"] = path
        shutil.copytree(_MADE["model"], folder / "model")
        return [folder / "model" / "estimator.json"]

    def read(folder: Path) -> object:
        return WGAN.load(folder / "model").sample(2)

    return Reader(of=("estimator.keeping", "estimator.forms"), make=make, read=read, is_json=True, is_slow=True)


READERS: dict[str, Reader] = {
    "settings": _settings(),
    "npy of points": file_reader("data.array_files", "a.npy", _npy((NUM, 3))),
    "npy of images": file_reader("data.images.arrays", "a.npy", _npy((NUM, 4, 4), "u1")),
    "npz": file_reader("data.array_files", "a.npz", _npz),
    "csv": file_reader("data.tables.delimited", "a.csv", _csv, missing="keep"),
    "csv without header": file_reader(
        "data.tables.delimited", "a.csv", lambda: _csv().partition(b"\n")[2], header=False, missing="keep"
    ),
    "parquet": file_reader("data.tables.arrow", "a.parquet", _parquet, missing="keep"),
    "jsonl": file_reader("data.tables.jsonl", "a.jsonl", _jsonl, missing="keep"),
    "feather": file_reader("data.tables.arrow", "a.feather", _feather, missing="keep"),
    "csv.gz": file_reader("data.tables.limits", "a.csv.gz", lambda: gzip.compress(_csv()), missing="keep"),
    "csv.zst": file_reader("data.tables.limits", "a.csv.zst", _zstd, missing="keep"),
    "zip of csv": file_reader("data.tables.limits", "a.csv.zip", _zip_of_csv, missing="keep"),
    "parquet called csv": file_reader("data.contents", "a.csv", _parquet, missing="keep"),
    "tar called zip": file_reader("data.contents", "a.zip", _tar("w")),
    "idx": file_reader("data.images.idx", "a-ubyte", _idx),
    "idx.gz": file_reader("data.images.idx", "a-ubyte.gz", lambda: gzip.compress(_idx())),
    "zip": file_reader("data.images.archives", "a.zip", _zip),
    "tar": file_reader("data.images.archives", "a.tar", _tar("w")),
    "tar.gz": file_reader("data.images.archives", "a.tar.gz", _tar("w:gz")),
    **{
        f"folder of {ending}": _folder(format, ending)
        for format, ending in (
            ("PNG", "png"),
            ("JPEG", "jpg"),
            ("BMP", "bmp"),
            ("GIF", "gif"),
            ("TIFF", "tif"),
            ("WEBP", "webp"),
            ("PPM", "ppm"),
        )
    },
    "tags.csv": _tagged(),
    "lmdb": _lmdb(),
    "pack of images": _pack(),
    **{f"codec of {kind}": _state(kind) for kind in ("points", "table", "images")},
    **{f"source.json of {kind}": _run(kind, "source.json") for kind in ("points", "table", "images")},
    "settings.toml of a run": _run("points", "settings.toml", is_json=False),
    "environment.json": _run("points", "environment.json"),
    "metrics.jsonl": _run("points", "metrics.jsonl"),
    "events.jsonl": _run("points", "events.jsonl"),
    **{
        f"report of {name} of {kind}": _run(kind, name, is_json="json" in name, read=report)
        for kind in ("points", "table", "images")
        for name in ("samples/*", "source.json", "metrics.jsonl", "events.jsonl", "settings.toml", "environment.json")
    },
    "best.json": _run("points", "checkpoints/best.json"),
    "manifest.json": _checkpoint("manifest.json"),
    "state.json": _checkpoint("state.json"),
    "tensors.safetensors": _checkpoint("tensors.safetensors"),
    "saved estimator": _model(),
}
"""Name to reader."""
