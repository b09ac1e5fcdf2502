"""Images: each once in a page, however often and however much of it is shown."""

import base64
import re

from test_report_records import strip

from aebench.page.images import Images, difference

ONE, OTHER = strip(10, (1, 28, 28), 40), strip(10, (3, 32, 32), 90)


def test_an_image_is_held_once_and_can_be_cut() -> None:
    images = Images()
    whole, cut, other = images.film(ONE, 10), images.film(ONE, 10, most=8), images.film(OTHER, 10)
    assert (whole.id, cut.id) == (other.id[:-1] + "0", whole.id)
    assert (whole.width, whole.height, cut.width, cut.images) == (280, 28, 224, 8)
    assert (other.width, other.height) == (320, 32)
    held = re.findall(
        r'<image id="([^"]+)" .*href="data:image/png;base64,([^"]+)"/>', images.definitions
    )
    assert [(id, base64.b64decode(text)) for id, text in held] == [
        (whole.id, ONE), (other.id, OTHER),
    ]  # fmt: skip


def test_the_cost_of_an_image_is_what_the_page_grows_by() -> None:
    images = Images()
    assert (images.size, images.definitions) == (0, "")
    cost = images.cost(ONE)
    images.film(ONE, 10)
    images.film(ONE, 10, most=2)
    uris = re.findall(r'href="([^"]+)"', images.definitions)
    assert images.size == cost == sum(map(len, uris))
    assert images.cost(ONE) == 0


def test_a_difference_is_two_strips_and_no_third() -> None:
    images = Images()
    before, after = images.film(ONE, 10, 8), images.film(OTHER, 10, 8)
    lost = difference(before, after)
    assert (lost.id, lost.less, lost.width) == (before.id, after.id, before.width)
    assert images.definitions.count("<image") == 2


def test_damaged_bytes_are_no_reason_to_stop() -> None:
    images = Images()
    assert images.film(b"no picture", 0).width == 0
    assert images.definitions.count("<image") == 1
