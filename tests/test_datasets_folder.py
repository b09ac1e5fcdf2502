"""A folder of real PNG and JPEG files as a dataset: its rules, its name, and whole runs with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aebench import datasets, load_grid, read
from aebench.datasets import adopted, catalogue, folder, own, pictures
from aebench.errors import RequestError

AXES = {"architecture": "mlp", "latent": 4, "batch_size": 8, "epochs": 1}


@pytest.fixture(autouse=True)
def own_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_INFOS", dict(catalogue._INFOS))
    monkeypatch.setattr(catalogue, "_LOADERS", dict(catalogue._LOADERS))


def picture(seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Image.Image:
    shape = (*size[::-1], 3) if mode == "RGB" else size[::-1]
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(pixels)


def save(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Thirty colour photographs of several sizes in two formats and three folders, and rubbish."""
    root = tmp_path / "pictures" / "my photos"
    for i in range(30):
        place = root / ("", "summer", "summer/sea")[i % 3]
        size = (100 + 7 * i, 80) if i % 2 else (40, 70 + i)
        save(place / f"{i:02}.{'jpg' if i % 2 else 'png'}", picture(i, size))
    whole = (root / "00.png").read_bytes()
    (root / "broken.png").write_bytes(whole[: len(whole) // 2])
    (root / "summer" / "notes.txt").write_text("no picture")
    (root / ".hidden.png").write_bytes(whole)
    return root


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """Twenty-four grey pictures of 12 x 10 pixels."""
    for i in range(24):
        save(tmp_path / "grey" / f"{i}.png", picture(i, (12, 10), "L"))
    return tmp_path / "grey"


def test_rules_for_colour_photographs(photos: Path, tmp_path: Path) -> None:
    made = folder.adopt(photos, tmp_path / "data")
    info = made.info
    assert info.image_shape == (3, 32, 32)
    assert (info.train_images, info.test_images, info.validation_images) == (27, 3, 3)
    assert made.files == 32
    assert [name for name, _ in made.left_out] == ["broken.png", "summer/notes.txt"]
    assert "summer/notes.txt (not an image)" in made.note
    assert "2 of 32 files" in made.note
    data = datasets.load(info.name, tmp_path / "data")
    assert data.train.shape == info.train_shape
    assert data.sha256.startswith(info.name.rpartition("-")[2])
    assert info.name.startswith("folder:my-photos-")
    assert str(photos.parent) not in info.title + data.source + made.note


def test_one_small_size_and_grey_are_kept_exactly(grey: Path, tmp_path: Path) -> None:
    info = folder.adopt(grey, tmp_path / "data").info
    assert info.image_shape == (1, 10, 12)
    data = datasets.load(info.name, tmp_path / "data")
    found = {image.tobytes() for image in np.concatenate([data.train, data.test])}
    assert found == {np.asarray(picture(i, (12, 10), "L")).tobytes() for i in range(24)}


def test_one_colour_picture_makes_all_rgb_and_one_size_more_resizes_all(
    grey: Path, tmp_path: Path
) -> None:
    save(grey / "colour.png", picture(99, (12, 10)))
    info = folder.adopt(grey, tmp_path / "data").info
    assert info.image_shape == (3, 10, 12)
    save(grey / "large.png", picture(98, (13, 10)))
    assert folder.adopt(grey, tmp_path / "data").info.image_shape == (3, 32, 32)


def test_one_large_size_is_resized(tmp_path: Path) -> None:
    for i in range(20):
        save(tmp_path / "large" / f"{i}.png", picture(i, (65, 64), "L"))
    assert folder.adopt(tmp_path / "large", tmp_path / "data").info.image_shape == (1, 32, 32)


def test_crop_is_central_and_averages(tmp_path: Path) -> None:
    """A white square in the centre of a wide black picture fills the result."""
    wide = Image.new("L", (300, 100))
    wide.paste(255, (100, 0, 200, 100))
    save(tmp_path / "wide.png", wide)
    result = pictures._open(tmp_path / "wide.png")
    assert isinstance(result, Image.Image)
    assert np.asarray(result).min() == 255
    stripes = np.tile(np.array([0, 255], np.uint8), (320, 160))  # aliases to stripes if sampled
    save(tmp_path / "stripes.png", Image.fromarray(stripes))
    result = pictures._open(tmp_path / "stripes.png")
    assert np.ptp(np.asarray(result)[:, 2:-2].astype(int)) <= 2


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (4, 4), 1), ("L", 255)),
        (Image.new("LA", (4, 4), (0, 0)), ("L", 255)),  # transparent shows the white below
        (Image.new("LA", (4, 4), (7, 255)), ("L", 7)),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 255)), ("RGB", (10, 20, 30))),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 0)), ("RGB", (255, 255, 255))),
        (Image.new("P", (4, 4), 0), ("RGB", (0, 0, 0))),
        (Image.fromarray(np.full((4, 4), 0x1234, np.uint16)), ("L", 0x12)),
    ],
)
def test_modes(tmp_path: Path, image: Image.Image, expected: tuple[str, object]) -> None:
    save(tmp_path / "a.png", image)
    result = pictures._open(tmp_path / "a.png")
    assert isinstance(result, Image.Image), result
    assert (result.mode, result.getpixel((1, 1))) == expected


def test_orientation_is_obeyed(tmp_path: Path) -> None:
    image = Image.new("L", (20, 10))
    exif = image.getexif()
    exif[0x0112] = 6  # turn by a quarter
    image.save(tmp_path / "a.jpg", exif=exif)
    result = pictures._open(tmp_path / "a.jpg")
    assert isinstance(result, Image.Image)
    assert result.size == (10, 20)


def test_same_files_anywhere_are_the_same_dataset(photos: Path, tmp_path: Path) -> None:
    """Neither place, dates nor the order of listing matter; nor do hidden files."""
    there = tmp_path / "elsewhere" / "my photos"
    for path in sorted(photos.rglob("*"), reverse=True):
        if path.is_file() and path.name != ".hidden.png":
            target = there / path.relative_to(photos)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            os.utime(target, (1, 1))
    first = folder.adopt(photos, tmp_path / "a").info
    assert folder.adopt(there, tmp_path / "b").info == first


def test_content_decides_name_and_key(grey: Path, tmp_path: Path) -> None:
    def key() -> str:
        (job,) = load_grid(None, AXES | {"dataset": str(grey)}, data=tmp_path / "data").jobs
        assert str(tmp_path) not in repr(job)
        return job.key

    before = key()
    assert key() == before
    (grey / "notes.txt").write_text("not an image: no new dataset")
    assert key() == before
    save(grey / "7.png", picture(1_007, (12, 10), "L"))
    changed = key()
    assert changed != before
    save(grey / "7.png", picture(7, (12, 10), "L"))
    assert key() == before
    (grey / "7.png").rename(grey / "seven.png")  # its place in the split may change
    assert len(load_grid(None, AXES | {"dataset": str(grey)}, data=tmp_path / "data").jobs) == 1


def test_unchanged_folder_is_not_decoded_again(
    grey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = folder.adopt(grey, tmp_path / "data")
    with monkeypatch.context() as patched:
        patched.setattr(pictures, "_open", lambda path: pytest.fail(f"opened {path}"))
        assert folder.adopt(grey, tmp_path / "data") == first
    twin = grey.with_name("grey-twin")
    shutil.copytree(grey, twin)  # dates and all: but it is another folder
    assert folder.adopt(twin, tmp_path / "data").info.name.startswith("folder:grey-twin-")


def test_cached_pixels_that_were_changed_are_read_again(grey: Path, tmp_path: Path) -> None:
    store = tmp_path / "data"
    name = folder.adopt(grey, store).info.name
    kept = adopted.cache_folder(name, store) / "train.npy"
    before, content = kept.stat(), bytearray(kept.read_bytes())
    content[-1] ^= 0xFF
    kept.write_bytes(content)
    os.utime(kept, ns=(before.st_mtime_ns, before.st_mtime_ns))
    with pytest.raises(RequestError, match="give the folder itself again"):
        datasets.load(name, store)
    assert folder.adopt(grey, store).info.name == name
    content[-1] ^= 0xFF
    assert kept.read_bytes() == content
    datasets.load(name, store)


def test_what_cannot_be_read_is_named_and_counted(
    grey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(grey, tmp_path / "mixed"))
    plain = len(list(root.rglob("*.*")))
    for name in ("locked", "locked/deeper", "odd"):
        (root / name).mkdir()
    (root / "locked" / "a.png").write_bytes(b"")
    (root / "nowhere.png").symlink_to("not there")
    (root / "around").symlink_to(root, target_is_directory=True)
    os.mkfifo(root / "pipe.png")  # which whoever opened it would wait for
    (root / "odd" / "\x1b]0;title\x07\n.png").write_bytes(b"no image")
    really = os.scandir

    def refusing(path: Any = ".") -> Any:  # as for anybody but root, who may read it all
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path)

    monkeypatch.setattr(os, "scandir", refusing)
    made = folder.adopt(root, tmp_path / "data")
    assert made.files == plain + 5
    assert dict(made.left_out) == {
        "around/": "a link to a folder",
        "locked/": "cannot be read: Permission denied",
        "nowhere.png": "cannot be read: No such file or directory",
        "odd/\x1b]0;title\x07\n.png": "not an image",
        "pipe.png": "not a regular file",
    }
    assert f"5 of {plain + 5} files" in made.note
    assert "locked/ (cannot be read: Permission denied)" in made.note
    assert r"odd/\x1b]0;title\x07\n.png (not an image)" in made.note
    assert made.note.isprintable()
    assert folder.adopt(root, tmp_path / "data") == made  # from the cache as well
    monkeypatch.undo()
    assert folder.adopt(root, tmp_path / "data").note != made.note


@pytest.mark.parametrize("name", ["2024", "nan", "1e3", "a,b", "X.TOML"])
def test_any_word_may_be_the_name_of_a_folder(
    grey: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(grey, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (job,) = load_grid(None, AXES | {"dataset": name}, data=tmp_path / "data").jobs
    assert job.dataset.startswith(f"folder:{name.replace(',', '-')}-")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("~nobody-of-this-name/pictures", "cannot be read"),
        ("./" + "x" * 300, "cannot be read"),
        ("./\x1b[31mred", r"dataset folder \\x1b\[31mred: not found"),
    ],
)
def test_paths_that_lead_nowhere(path: str, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        load_grid(None, AXES | {"dataset": path})


def test_a_long_name_is_cut_to_what_a_file_may_be_called(grey: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(grey, tmp_path / ("\u00e9" * 120)))
    made = folder.adopt(root, tmp_path / "data")
    assert datasets.load(made.info.name, tmp_path / "data").info == made.info


def test_mistakes_are_told(tmp_path: Path) -> None:
    for i in range(adopted.LEAST_IMAGES - 1):
        save(tmp_path / "few" / f"{i}.png", picture(i))
    (tmp_path / "few" / "text.txt").write_text("x")
    cases = {
        str(tmp_path / "few"): r"19 readable images among 20 files; at least 20.*\n.*text\.txt",
        str(tmp_path / "none"): "not found",
        str(tmp_path / "few" / "0.png"): "is a file; name the folder",
        "folder:gone-12345678": "not in the data cache",
        "mnsit": "did you mean 'mnist'",
    }
    for dataset, message in cases.items():
        with pytest.raises(RequestError, match=message):
            load_grid(None, AXES | {"dataset": dataset}, data=tmp_path / "data")


def test_grid_file_names_folders_from_where_it_lies(
    grey: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
        batch_size = 8
        architecture = "mlp"
        [[product]]
        dataset = ["grey", "./pictures/my photos", "digits"]
        latent = [2, 4]
        [[exclude]]
        dataset = "./grey"
        latent = 2
    """
    (tmp_path / "mine.toml").write_text(text)
    monkeypatch.chdir("/")
    grid = load_grid(str(tmp_path / "mine.toml"), data=tmp_path / "data")
    found = sorted((job.dataset.rpartition("-")[0], job.latent) for job in grid.jobs)
    assert found == sorted(
        [("", 2), ("", 4), ("folder:grey", 4), ("folder:my-photos", 2), ("folder:my-photos", 4)]
    )
    (note,) = grid.notes
    assert "broken.png" in note
    assert grid.shard(1, 2).notes == grid.notes


def test_catalogue_wins_over_a_folder_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "other").mkdir()
    assert not own.is_path("digits", tmp_path)
    assert own.is_path("other", tmp_path)
    assert own.is_path("./digits", tmp_path)
    assert not own.is_path("folder:other-12345678", tmp_path)


def _aebench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    home = Path(datasets.__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "aebench", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(home), "AEBENCH_DATA": str(cwd / "data")},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_plan_and_run_in_a_worker_process(grey: Path, tmp_path: Path) -> None:
    whole = (grey / "0.png").read_bytes()
    (grey / "broken.png").write_bytes(whole[: len(whole) // 2])
    (grey / "notes.txt").write_text("no picture")
    axes = ["--architecture", "mlp,conv,conv-bottleneck", "--latent", "4", "--batch-size", "8"]
    axes += ["--epochs", "1", "--device", "cpu", "--dataset", str(grey)]
    plan = _aebench("run", *axes, "--plan", cwd=tmp_path)
    assert plan.returncode == 0, plan.stderr
    assert "folder:grey-" in plan.stdout
    assert "to do: 3 jobs" in plan.stdout
    assert "2 of 26 files are no readable images" in plan.stderr
    assert " torch" not in plan.stderr  # what -X importtime lists

    run = _aebench("run", *axes, "--results", "out", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    jobs = read(tmp_path / "out").jobs
    assert list(jobs["status"]) == ["ok"] * 3
    assert set(jobs["train_images"]) == {20}
    (name,) = set(jobs["dataset"])
    assert jobs["data_sha256"].str.startswith(name.rpartition("-")[2]).all()
    assert set(jobs["data_source"]) == {"images of the folder grey (24 of 26 files)"}
    assert str(tmp_path) not in jobs.to_csv()
    assert f"--dataset {name}" in jobs["command"][0]

    again = _aebench("run", *axes[:-1], name, "--results", "out", cwd=tmp_path)
    assert "3 of 3 jobs are in out already" in again.stderr


# Classes


def test_one_folder_per_class_gives_labels(tmp_path: Path) -> None:
    for i in range(30):
        side = tmp_path / "classes" / ("zebra" if i % 3 else "ant")
        side.mkdir(parents=True, exist_ok=True)
        level = 250 if i % 3 else i  # what tells the classes apart below
        Image.new("L", (8, 8), level).save(side / f"{i}.png")
    info = folder.adopt(tmp_path / "classes", tmp_path / "data").info
    data = datasets.load(info.name, tmp_path / "data")
    assert data.classes == ("ant", "zebra")
    for pixels, labels in ((data.train, data.train_labels), (data.test, data.test_labels)):
        assert labels is not None
        assert labels.tolist() == [int(image[0, 0, 0] == 250) for image in pixels]
    (tmp_path / "classes" / "beside.png").write_bytes(
        (tmp_path / "classes" / "ant" / "0.png").read_bytes()
    )
    again = folder.adopt(tmp_path / "classes", tmp_path / "data").info
    assert datasets.load(again.name, tmp_path / "data").train_labels is None
