"""The panel of a model, in a real browser: it opens, compares, steps, closes, and shows text."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_report_records import record, stored

from aebench.page.html import page

EVIL = "<img src=x onerror=alert(1)>"

# What each step of a test's script may use.
HELP = """
const steps = [];
const note = (value) => steps.push(value);
const panel = document.querySelector("dialog.panel");
const title = () => panel.querySelector("h2").textContent;
const press = (key) =>
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const soon = () => new Promise((done) => setTimeout(done, 200));
"""


def browse(text: str, folder: Path, script: str, address: str = "") -> list[str]:
    """What `script` notes in the page `text`; the console must stay silent."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip(f"no Chromium: none of {', '.join(names)} is installed")
    driver = (
        f"<script>(async () => {{ {HELP} try {{ {script} }} catch (error) {{ note(String(error)) }}"
        " document.title = JSON.stringify(steps.map(String)); })()</script></body>"
    )
    file = folder / "report.html"
    file.write_text(text.replace("</body>", driver), encoding="utf-8")
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={folder / 'profile'}", "--window-size=1000,900",
            "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom",
            file.as_uri() + address,
        ],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found = re.search("<title>(.*?)</title>", done.stdout)
    assert found is not None
    import json

    return json.loads(html.unescape(found[1]))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three models of MNIST, one of them with a name that is markup, and one in colour."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    results = stored(
        tmp_path_factory.mktemp("panel"),
        *(record("mlp", 4, seed=s) for s in (0, 1)),
        record("conv", 4),
        record("mlp", 9, row={"architecture": EVIL}),
        record("conv", 4, dataset="cifar10"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda self, file, **_: file.write("<svg />"))
        patch.setattr(FigureCanvasSVG, "draw", lambda self: None)
        return page(results)


@pytest.mark.browser
def test_a_name_opens_the_panel_and_closing_gives_the_focus_back(text: str, tmp_path: Path) -> None:
    found = browse(
        text,
        tmp_path,
        """
        const name = document.querySelector("#jobs-table button.model");
        name.focus(); name.click(); await soon();
        note(panel.open); note(title()); note(location.hash === `#model-${name.dataset.model}`);
        note(document.activeElement === panel.querySelector("h2"));
        note(panel.querySelectorAll("img").length); note(panel.querySelectorAll("canvas").length);
        const rows = [...panel.querySelectorAll("tr")].map((row) => row.textContent);
        note(rows.some((row) => row.startsWith("seeds2")));
        note(panel.querySelectorAll("polyline").length);
        panel.querySelector('[aria-label="Close"]').click(); await soon();
        note(panel.open); note(location.hash === ""); note(document.activeElement === name);
        """,
    )
    assert found == [
        "true",
        "mlp-4",
        "true",
        "true",
        "5",
        "1",
        "true",
        "2",
        "false",
        "true",
        "true",
    ]


@pytest.mark.browser
def test_a_second_model_stands_beside_the_first(text: str, tmp_path: Path) -> None:
    found = browse(
        text,
        tmp_path,
        """
        document.querySelector("#jobs-table button.model").click(); await soon();
        const choice = panel.querySelector("select");
        note([...choice.options].map((option) => option.text).join("|"));
        choice.value = choice.options[1].value;
        choice.dispatchEvent(new Event("change")); await soon();
        note(title()); note(panel.querySelectorAll("canvas").length);
        const pixel = (i) => {
          const canvas = panel.querySelectorAll("canvas")[i];
          return canvas.getContext("2d").getImageData(10, 10, 1, 1).data.join(" ");
        };
        for (const i of [0, 1, 2]) note(pixel(i));
        note(panel.querySelectorAll("polyline").length);
        note(/^#model-[0-9a-f]{8}-[0-9a-f]{8}$/.test(location.hash));
        """,
    )
    assert found[:3] == [f"no other model|conv-4|{EVIL}-9", "mlp-4 beside conv-4", "3"]
    # Both outputs are the same shade, 24/255 too bright, of a full colour at 0.1.
    first, second, between = ([int(part) for part in pixel.split()] for pixel in found[3:6])
    assert first == second == pytest.approx([0xB3, 0x47, 0x00, 255 * 0.941], abs=2)
    assert between[3] == 0
    assert found[6:] == ["4", "true"]


@pytest.mark.browser
def test_arrows_step_and_an_address_opens(text: str, tmp_path: Path) -> None:
    model = re.search(r'data-model="(\w+)">conv<', text)
    assert model is not None
    found = browse(
        text,
        tmp_path,
        """
        await soon(); note(panel.open); note(title());
        press("ArrowRight"); note(title());
        press("ArrowLeft"); note(title());
        press("ArrowLeft"); note(title()); press("ArrowLeft"); note(title());
        note(panel.querySelector('[aria-label="Previous model"]').disabled);
        location.hash = "#jobs"; await soon(); note(panel.open);
        """,
        f"#model-{model[1]}",
    )
    assert found == [
        "true", "conv-4", f"{EVIL}-9", "conv-4", "mlp-4", "mlp-4", "true", "false",
    ]  # fmt: skip


@pytest.mark.browser
def test_names_stay_text_and_what_is_built_later_opens_too(text: str, tmp_path: Path) -> None:
    later = re.search(r'data-model="(\w+)">conv<', text)
    assert later is not None
    found = browse(
        text,
        tmp_path,
        f"""
        const names = [...document.querySelectorAll("#jobs-table button.model")];
        names.find((button) => button.textContent.startsWith("<img")).click(); await soon();
        note(title()); note(panel.querySelectorAll("img:not([src^='data:'])").length);
        panel.close();
        document.body.insertAdjacentHTML("beforeend",
          '<p id="late"><i data-model="{later[1]}">c</i><i data-model="0000">?</i>' +
          '<svg role="img" aria-label="chart"><g data-model="{later[1]}"><text>4</text></g></svg>');
        const late = document.getElementById("late");
        late.dispatchEvent(new CustomEvent("built", {{ bubbles: true }}));
        note(late.querySelectorAll("button").length);
        const mark = late.querySelector("g");
        note(mark.getAttribute("aria-label")); note(mark.closest("svg").getAttribute("role"));
        mark.focus(); press("Enter"); note(title()); note(panel.open);
        """,
    )
    assert found == [f"{EVIL}-9", "0", "1", "Look closer at 4", "group", "conv-4", "true"]


@pytest.mark.browser
def test_pictures_in_colour_have_two_maps(text: str, tmp_path: Path) -> None:
    script = """
        [...document.querySelectorAll("#jobs-table button.model")].at(-1).click(); await soon();
        note(title()); note([...panel.querySelectorAll(".panel-map p")].map((p) => p.textContent));
        note([...panel.querySelectorAll(".panel-legend i")].length);
        """
    assert browse(text, tmp_path, script) == [
        "conv-4", "error of brightness,error of colour", "2",
    ]  # fmt: skip
