"""Images: each once in a page, cut to what is shown, whoever shows it and however often."""

import base64
import io
import re

from PIL import Image
from test_report_records import strip

from aebench.page.images import Images, difference

ONE, OTHER = strip(10, (1, 28, 28), 40), strip(10, (3, 32, 32), 90)


def pixels(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def test_a_strip_is_held_once_and_no_longer_than_it_is_shown() -> None:
    images = Images()
    first, less, other = images.film(ONE, 10), images.film(ONE, 10, most=3), images.film(OTHER, 10)
    assert (first.id, less.id, other.id) == ("png-0", "png-0", "png-1")
    assert (first.images, first.width, first.height) == (8, 8 * 28, 28)
    assert (less.images, less.width) == (3, 3 * 28)
    # In colour an image is as many numbers as four in grey.
    assert (other.images, other.width, other.height) == (4, 4 * 32, 32)
    held = re.findall(
        r'<image id="([^"]+)" width="(\d+)" .*href="data:image/png;base64,([^"]+)"/>',
        images.definitions,
    )
    assert [(id, int(width)) for id, width, _ in held] == [("png-0", 8 * 28), ("png-1", 4 * 32)]
    for (*_, text), whole, film in zip(held, (ONE, OTHER), (first, other), strict=True):
        assert base64.b64decode(text) == images.png(film)
        shown, given = pixels(base64.b64decode(text)), pixels(whole)
        assert shown.tobytes() == given.crop((0, 0, film.width, film.height)).tobytes()


def test_a_strip_that_is_short_is_held_as_it_is() -> None:
    images = Images()
    short = strip(2, (1, 28, 28), 40)
    assert images.png(images.film(short, 2)) == short


def test_the_cost_of_an_image_is_what_the_page_grows_by() -> None:
    images = Images()
    assert (images.size, images.definitions) == (0, "")
    cost = images.cost((ONE, 10), (ONE, 10))
    images.film(ONE, 10)
    images.film(ONE, 10, most=2)
    uris = re.findall(r'href="([^"]+)"', images.definitions)
    assert images.size == cost == sum(map(len, uris))
    assert images.cost((ONE, 10)) == 0
    assert images.cost((ONE, 10), (OTHER, 10)) == images.cost((OTHER, 10)) > 0


def test_a_difference_is_two_strips_and_no_third() -> None:
    images = Images()
    before, after = images.film(ONE, 10), images.film(OTHER, 10)
    lost = difference(before, after)
    assert (lost.id, lost.less, lost.width) == (before.id, after.id, before.width)
    assert images.definitions.count("<image") == 2


def test_damaged_bytes_are_no_reason_to_stop() -> None:
    images = Images()
    assert images.film(b"no picture", 0).width == 0
    assert images.film(ONE[:60], 10).id == "png-1"
    assert images.definitions.count("<image") == 2
