"""The dashboard in a real browser: of a cluster that works, loses a replica, finds one that computes wrongly, and loses
the replica that serves the page. Nothing may complain meanwhile, and no state may scroll sideways on a phone."""

import argparse
import pathlib
import sys
import tempfile
import time

from browser import Browser
from cluster import Cluster

# Widths and heights of a desktop and of a phone.
SIZES = {"desktop": (1440, 900, 1), "phone": (390, 844, 2)}
NARROW = (360, 740)


def card(replica, state):
    return f"document.querySelector('.replica[data-replica=\"{replica}\"][data-state=\"{state}\"]')"


def text_of(element):
    return f"document.getElementById('{element}').textContent"


# A number as the page writes it, or NaN for a dash.
def number_of(element):
    return f"Number({text_of(element)}.replace(/\\u202f/g, ''))"


class Test:
    """A page, and where pictures of it go."""

    def __init__(self, page, screens):
        self.page = page
        self.screens = screens
        self.began = time.monotonic()

    def step(self, what):
        print(f"{time.monotonic() - self.began:5.1f} s  {what}", flush=True)

    def check(self, state, dead=None):
        """Nothing complained, nothing scrolls sideways, no number is none; and takes pictures. Polls of an address at
        which nobody answers fail, and browsers say so."""
        page = self.page
        page.look(*NARROW)
        width = page.evaluate("document.documentElement.scrollWidth")
        wide = """[...document.querySelectorAll('main *, .top *, .banner *')]
            .filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML.slice(0, 100))"""
        assert width <= NARROW[0], f"{state}: {width} pixels wide on a phone of {NARROW[0]}: {page.evaluate(wide)}"
        said = page.evaluate("document.body.innerText")
        for word in ("NaN", "undefined", "null", "Infinity", "[object"):
            assert word not in said, f"{state}: the page says {word}:\n{said}"
        for name, (width, height, scale) in SIZES.items():
            for dark in (False, True):
                page.look(width, height, dark, scale)
                if self.screens:
                    page.save(self.screens / f"{state}-{name}-{'dark' if dark else 'light'}.png")
        page.look(*SIZES["desktop"][:2])
        expected = [c for c in page.complaints if dead and c[2] == f"{dead}/v1/cluster" and "net::ERR_" in c[1]]
        others = [complaint for complaint in page.complaints if complaint not in expected]
        assert not others, f"{state}: the browser complains: {others}"
        page.complaints.clear()

    def banner_spans(self, words):
        """There is a banner of these words from edge to edge."""
        banner = f"[...document.querySelectorAll('.banner')].find((banner) => banner.innerText.includes('{words}'))"
        self.page.until(banner, f"a banner: {words}")
        edges = self.page.evaluate(f"[{banner}.getBoundingClientRect().width, document.documentElement.clientWidth]")
        assert edges[0] == edges[1], f"the banner is {edges[0]} of {edges[1]} pixels wide"


def pure(test):
    """What the page computes."""
    source = pathlib.Path(__file__).with_name("pure.js").read_text()
    failures = test.page.evaluate(source)
    assert failures == [], "\n".join(failures)
    test.step("what is computed is right")


def empty(test, cluster):
    for replica in range(3):
        cluster.start(replica)
    test.page.look(*SIZES["desktop"][:2])
    test.page.open(cluster.http(0))
    test.page.until(f"{text_of('summary')} === 'All 3 in order'", "all are in order")
    test.page.until("document.querySelector('.plot .nothing').textContent.startsWith('No events for now')", "no events")
    # Its first answer came before the address of the last one was heard, perhaps.
    test.check("empty")
    test.step("a cluster without events")


def running(test, cluster):
    page = test.page
    cluster.start_load()
    page.until(f"{number_of('tile-rate')} > 0", "events a second")
    for tile in ("tile-p50", "tile-p99", "tile-p999"):
        page.until(f"/[µm]?s$/.test({text_of(tile)})", f"{tile} is a time")
    slot = page.evaluate(text_of("tile-slot"))
    page.until(f"{text_of('tile-slot')} !== '{slot}'", "slots move")
    for chart in ("rate", "latency"):
        page.until(f"/now .*\\d/.test(document.getElementById('{chart}-chart').ariaLabel)", f"the chart of the {chart}")
    page.until("document.querySelectorAll('#shards tbody tr').length === 4", "four shards")
    for domain in ("inventory", "telemetry"):
        tile = f"document.querySelector('.tile[data-domain={domain}]')"
        applied = f"Number({tile}.querySelector('b').textContent.replace(/\u202f/g, ''))"
        page.until(f"{tile} && {applied} > 0", f"events of {domain} that are applied")
        page.until(f"/^[0-9].* rejected\\/s, version 1$/.test({tile}.querySelector('.note').textContent)", f"what {domain} refuses")
    page.until("document.querySelectorAll('.replica[data-tone=good]').length === 3", "three good replicas")
    assert page.evaluate("document.querySelectorAll('.replica[data-state=leading]').length") == 1
    # Enough that the charts have something to show.
    counted = "Number(document.querySelector('#curve-legend li:last-child b').textContent.replace(/\\D/g, ''))"
    page.until(f"{counted} >= 20000", "20 000 events")
    test.check("running")
    stands_still(test)
    test.step("a cluster under a load")


def stands_still(test):
    """Numbers change, and nothing else moves. Elections are told of, and what is told takes room; a rate that gets a digit
    more or less, as it does while a load begins, pushes its unit: then it is looked again."""
    page, seen = test.page, None
    while seen != (now := [page.evaluate(text_of("chronicle")), page.evaluate(f"{text_of('tile-rate')}.length")]):
        seen = now
        shifts = shifts_of(page)
    assert shifts == [], f"what moved while numbers changed: {shifts}"


def shifts_of(page):
    """What moves while slots do."""
    page.evaluate("""new Promise((done) => {
        window.shifts = [];
        const name = ({ node }) => node?.outerHTML?.slice(0, 120);
        const note = (list) => list.getEntries().forEach((entry) => shifts.push(entry.sources.map(name)));
        new PerformanceObserver(note).observe({ type: "layout-shift" });
        requestAnimationFrame(() => requestAnimationFrame(done));
    })""")
    for _ in range(4):
        slot = page.evaluate(text_of("tile-slot"))
        page.until(f"{text_of('tile-slot')} !== '{slot}'", "slots move")
    return page.evaluate("shifts")


def killed(test, cluster):
    page, victim = test.page, 1
    before = time.monotonic()
    cluster.kill(victim)
    page.until(card(victim, "unreachable"), f"replica {victim} is shown as unreachable")
    took_s = time.monotonic() - before
    page.until(f"{text_of('summary')}.includes('nreachable: replica {victim}')", "the top says so")
    red, green, blue = page.evaluate(
        f"getComputedStyle({card(victim, 'unreachable')}).borderTopColor.match(/\\d+/g).map(Number)"
    )
    assert red > 2 * max(green, blue), f"its edge is rgb({red}, {green}, {blue})"
    page.until("document.querySelector('.replica[data-state=leading]')", "one leads")
    test.check("killed")
    test.step(f"a killed replica, which was red after {took_s:.1f} s")
    cluster.start(victim)
    page.until(f"{text_of('summary')} === 'All 3 in order'", "it is back")
    said = page.evaluate(text_of("chronicle"))
    assert f"Replica {victim} lost" in said and f"Replica {victim} is heard again" in said, said
    test.check("again")
    test.step("it came back")


def quarantined(test, cluster):
    page, wrong = test.page, 2
    cluster.kill(wrong)
    slot = cluster.status(0)["slots"]["published"] + 50
    cluster.start(wrong, "--fault", f"wrong-outcome@{slot}")
    page.until(card(wrong, "quarantined"), f"replica {wrong} is shown as quarantined")
    test.banner_spans(f"Replica {wrong} is quarantined")
    test.banner_spans("assize rebuild --config")
    assert page.evaluate("document.title").startswith("⚠ Quarantined: replica 2")
    page.until("document.querySelector('.replica[data-state=leading]')", "the others go on")
    test.check("quarantined")
    test.step("a replica that computed wrongly")


def lost(test, cluster):
    page = test.page
    cluster.kill(0)
    page.until("document.body.dataset.look === 'lost'", "the page knows that it is lost")
    test.banner_spans("Replica 0, which serves this page, does not answer")
    page.until(card(0, "unreachable"), "its card says so")
    for old in (".tiles", "#shards", ".replica[data-replica='1']"):
        grey = f"getComputedStyle(document.querySelector(\"{old}\").closest('.old, .replica')).filter"
        assert page.evaluate(grey) == "grayscale(1)", f"{old} is not grey"
    page.until("document.querySelector('.ways a')?.textContent === 'Look at it from replica 1'", "the way to another replica")
    test.check("lost", dead=cluster.http(0))
    test.step("the page's own replica is gone")
    cluster.start(0)
    page.until("document.body.dataset.look === 'live'", "the page goes on by itself")
    page.until("document.querySelector('.replica[data-state=leading]')", "one leads")
    page.until(f"{number_of('tile-rate')} > 0", "events a second")
    assert "which serves this page, does not answer" not in page.evaluate("document.body.innerText")
    test.check("back", dead=cluster.http(0))
    test.step("it came back")


def single(test, cluster):
    page = test.page
    cluster.start(0)
    page.open(cluster.http(0))
    # Until then the page of the cluster before went on asking it, and it was gone.
    page.complaints.clear()
    page.until(f"{text_of('summary')} === 'In order'", "it is in order")
    page.until(card(0, "leading"), "it leads")
    page.until(f"{text_of('replicas-note')}.startsWith('A cluster of one')", "it says that it is alone")
    test.check("single")
    test.step("a cluster of one")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the folder with assize and assize-load")
    parser.add_argument("--screens", type=pathlib.Path, help="save pictures of each state here")
    options = parser.parse_args()
    if options.screens:
        options.screens.mkdir(parents=True, exist_ok=True)
    # Beside the programs: a disk, where /tmp may be memory.
    with tempfile.TemporaryDirectory(prefix="browser-", dir=options.programs) as folder:
        folder = pathlib.Path(folder)
        browser = Browser(folder / "profile")
        try:
            test = Test(browser.page(), options.screens)
            with Cluster(options.programs, folder / "three", 3) as cluster:
                try:
                    empty(test, cluster)
                    pure(test)
                    running(test, cluster)
                    killed(test, cluster)
                    quarantined(test, cluster)
                    lost(test, cluster)
                except AssertionError as error:
                    sys.exit(f"{error}\n{cluster.said()}")
            with Cluster(options.programs, folder / "one", 1) as cluster:
                single(test, cluster)
        finally:
            browser.close()
    print("the dashboard does what it should")


if __name__ == "__main__":
    main()
