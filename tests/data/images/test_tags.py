"""Conditions of images: folders, and a tags.csv in the folder or the archive."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from wgan.data import open_data
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions

TAGS = "file,hair,eyes,age\n" + "".join(
    f"{number}.png,{('red', 'blue')[number % 2]},{('green', 'brown', 'grey')[number % 3]},{number / 2}\n"
    for number in reversed(range(12))
)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def files(encode) -> dict[str, bytes]:
    return {f"{number}.png": encode(number) for number in range(12)} | {"tags.csv": TAGS.encode()}


@pytest.fixture
def place(tmp_path):
    """Writes files as a folder, a .zip or a .tar.gz."""

    def write(files, form, name="faces"):
        path = tmp_path / (name if form == "folder" else f"{name}.{form}")
        if form == "folder":
            for inner, content in files.items():
                (path / inner).parent.mkdir(parents=True, exist_ok=True)
                (path / inner).write_bytes(content)
        elif form == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for inner, content in files.items():
                    archive.writestr(inner, content)
        else:
            with tarfile.open(path, "w:gz") as archive:
                for inner, content in files.items():
                    member = tarfile.TarInfo(inner)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        return path

    return write


def opened(path, *names, cache=None, **options):
    return open_data(path, DataOptions(condition=names, held_out=0.25, **options), seed=0, cache=cache)


def numbers_of(source, values) -> list[int]:
    """The number of each image, from its pixels."""
    wanted = {number: np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8) for number in range(12)}
    images = source.codec.decode(values)
    return [next(number for number, image in wanted.items() if np.array_equal(image, found)) for found in images]


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_each_image_gets_its_own_row(files, place, form, tmp_path):
    path = place(files, form)
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        source = opened(path, "hair,eyes", "age", cache=cache)
        assert source.conditions.describe() == "hair (2 categories), eyes (3 categories), age (number)"
        for part in ("train", "held-out"):
            batch = source.labelled(part, 12, rng())
            found = source.conditions.decode(batch.condition).to_pylist()
            for number, row in zip(numbers_of(source, batch.values), found, strict=True):
                assert row == {
                    "hair": ("red", "blue")[number % 2],
                    "eyes": ("green", "brown", "grey")[number % 3],
                    "age": number / 2,
                }
    plain = open_data(path, DataOptions(), seed=0)
    assert plain.conditions is None
    assert plain.offers == ("hair", "eyes", "age")
    assert plain.notes == source.notes


def test_a_cached_folder_gets_new_tags(files, place, tmp_path):
    path = place(files, "folder")
    first = opened(path, "hair", cache=tmp_path / "cache")
    (path / "tags.csv").write_text(TAGS.replace("red", "pink"))
    second = opened(path, "hair", cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert second.conditions.parts[0].values == ("blue", "pink")
    assert first.fingerprint() != second.fingerprint()
    (path / "tags.csv").unlink()
    with pytest.raises(UsageError, match=r"no condition 'hair'\nThe data has no labels and no tags"):
        opened(path, "hair", cache=tmp_path / "cache")


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_classes_of_folders_and_tags_are_both_conditions(encode, place, form):
    files = {f"{kind}/{number}.png": encode(number) for number in range(6) for kind in [("cat", "dog")[number % 2]]}
    source = opened(place(files, form, "plain"), "label")
    assert source.offers == ("label",)
    batch = source.labelled("train", 9, rng())
    kinds = source.conditions.decode(batch.condition)["label"].to_pylist()
    assert kinds == [("cat", "dog")[number % 2] for number in numbers_of(source, batch.values)]
    rows = "".join(f"{name},{name.split('/')[1][0]}\n" for name in files)
    both = opened(place(files | {"labels.csv": b"file,number\n" + rows.encode()}, form, "both"), "label", "number")
    assert both.offers == ("number", "label")
    batch = both.labelled("train", 9, rng())
    found = both.conditions.decode(batch.condition).to_pylist()
    assert [row["number"] for row in found] == numbers_of(both, batch.values)
    with pytest.raises(UsageError, match=r"no condition 'lable'\nDid you mean 'label'\? There are: number, label\."):
        opened(place(files | {"labels.csv": b"file,number\n" + rows.encode()}, form, "both2"), "lable")


def test_names_may_be_paths_names_or_stems(encode, place):
    images = {f"in/{kind}/{number}.png": encode(number) for number in range(4) for kind in [("a", "b")[number % 2]]}
    for number, written in enumerate(("{kind}/{number}.png", "{number}.png", "{number}")):
        rows = "".join(
            written.format(kind=name.split("/")[1], number=name[-5]) + f",{'xy'[int(name[-5]) % 2]}\n"
            for name in images
        )
        source = opened(
            place(images | {"in/tags.csv": b"image;mark\n" + rows.replace(",", ";").encode()}, "zip", f"n{number}"),
            "mark",
        )
        batch = source.labelled("train", 9, rng())
        marks = source.conditions.decode(batch.condition)["mark"].to_pylist()
        assert marks == ["xy"[number % 2] for number in numbers_of(source, batch.values)]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (TAGS.replace("3.png", "33.png").replace("7.png", "77.png"), r"2 of 12 images have no row: '3\.png', '7\.png'"),
        (TAGS + "3.png,red,grey,1\n", r"tags.csv, line 14: the image '3\.png' comes twice"),
        (TAGS.replace("3.png,blue,green,1.5", "3.png,blue,green,old"), r"line 10, column 'age': text 'old'"),
        (TAGS.replace("3.png,blue,", "3.png,,"), r"1 missing or NaN cell: line 10 'hair' \(missing\)"),
        ("file\n", r"tags.csv has no column besides the names .*\nIts first line must name the columns"),
        ("", r"tags.csv has no column besides the names"),
    ],
)  # fmt: skip
def test_errors_in_tags_name_the_position(files, place, tags, message):
    with pytest.raises((DataError, UsageError), match=message):
        opened(place(files | {"tags.csv": tags.encode()}, "zip"), "hair", "age")


def test_paths_start_at_the_folder_of_the_tags_and_unused_rows_are_noted(files, place):
    tags = TAGS.replace("\n1", "\n./1") + "old.png,red,grey,1\n99.png,red,grey,1\n"
    source = opened(place(files | {"tags.csv": tags.encode()}, "zip"), "hair")
    assert any(note.endswith("tags.csv: 2 rows name no image: 'old.png', '99.png'") for note in source.notes)
    assert len(source.labelled("train", 12, rng()).values) == 9
    assert not any("no image" in note for note in opened(place(files, "zip", "plain"), "hair").notes)


def test_a_row_for_two_images_is_refused(encode, place):
    images = {f"{folder}/{number}.png": encode(number) for folder in "ab" for number in range(4)}
    rows = b"file,hair\n" + b"".join(b"%d.png,%s\n" % (number, b"xy"[number % 2 :][:1]) for number in range(4))
    # A file of tags applies only to images in its folder.
    for number, tags in enumerate(("tags.csv", "a/tags.csv")):
        path = place(images | {tags: rows}, "zip", f"twice{number}")
        with pytest.raises(DataError, match=r"line 2: '0.png' is the name of several images, 'a/0.png' and 'b/0.png'"):
            opened(path, "hair")
    paths = b"file,hair\n" + b"".join(name.encode() + b"," + name[:1].encode() + b"\n" for name in images)
    assert opened(place(images | {"tags.csv": paths}, "zip", "paths"), "hair").conditions.size == 2


def test_images_without_a_tag_can_be_dropped(files, place):
    tags = TAGS.replace("3.png,blue,", "3.png,,")
    source = opened(place(files | {"tags.csv": tags.encode()}, "zip"), "hair", missing="drop")
    drawn = [*numbers_of(source, source.labelled("train", 12, rng()).values)]
    drawn += numbers_of(source, source.labelled("held-out", 12, rng()).values)
    assert sorted(drawn) == [number for number in range(12) if number != 3]
    assert "1 row with missing or infinite conditions was dropped" in source.notes


def test_options_of_tags_are_refused_without_conditions(files, place):
    path = place(files, "zip")
    with pytest.raises(UsageError, match=r"numeric=.* cannot be used with"):
        opened(path, numeric=("age",))
    with pytest.raises(UsageError, match="unseen has no effect without condition"):
        opened(path, unseen=0.1)
    assert opened(path, "age", categorical=("age",)).conditions.size == 12
    with pytest.raises(UsageError, match=r'categorical=\["height"\] names no column'):
        opened(path, "age", categorical=("height",))


def test_labels_of_arrays_of_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 4, 4), dtype=np.uint8)
    for labels, kind in ((np.arange(20) % 5, "5 categories"), (np.linspace(0, 1, 20), "number")):
        np.savez(tmp_path / "x.npz", images=pixels, labels=labels)
        source = open_data(tmp_path / "x.npz", DataOptions(condition=("label",)), seed=0)
        assert source.conditions.describe() == f"label ({kind})"
        batch = source.labelled("train", 20, rng())
        found = source.conditions.decode(batch.condition)["label"].to_pylist()
        for image, label in zip(source.codec.decode(batch.values), found, strict=True):
            place = next(place for place, own in enumerate(pixels) if np.array_equal(own, image[..., 0]))
            assert label == pytest.approx(labels[place])
