"""What pages weigh and when their rows can be used, as JSON: weights.py BASE_URL SERVICE_ID FOLDER

For `cargo bench -- --only pages`. The server has a thousand services, and nothing changes any more.
"""

import json

from chromium import BASE, PROJECT, SCENARIO, Page

ROUNDS = 7
PAGES = {"home": BASE + "/", "service": f"{PROJECT}/services/{SCENARIO}", "list": PROJECT + "/services?limit=100"}
ROWS = "#middle tbody tr"
# Where, what is looked for, and how many of it.
USABLE = {
    "0": (PROJECT + "/services?limit=100&name=nothing-is-called-so", ROWS, 0),
    "100": (PROJECT + "/services?limit=100", ROWS, 100),
    "1000": (PROJECT + "/services?limit=1000", ROWS, 1000),
    "home": (BASE + "/", ".stack-line", 20),
}
# The first frame by which the heading and so much has been painted, in milliseconds from the start of the way to the page.
WATCH = """
    const look = () => {
        const [selector, count] = JSON.parse(window.name || '["", -1]');
        if (count < 0) return undefined;
        if (!document.querySelector('#middle h1')?.textContent || document.querySelectorAll(selector).length < count) return requestAnimationFrame(look);
        return requestAnimationFrame(() => setTimeout(() => (window.usableAt = performance.now())));
    };
    requestAnimationFrame(look);
"""


def weigh(page):
    """The bytes of each page as a browser asks that was never here, and as one that was here a moment ago."""
    told = {}
    for name, url in PAGES.items():
        for state in ("cold", "warm"):
            cost = page.cost_of(url, state == "cold")
            told[f"{name} {state}"] = {"bytes": cost["http"], "requests": len(cost["urls"])}
    return told


def usable(page):
    """Milliseconds until what a page is for is there, with the explorer's files kept; by turns."""
    page.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    took = {name: [] for name in USABLE}
    for _ in range(ROUNDS):
        for name, (url, selector, count) in USABLE.items():
            page.browser.get("about:blank")
            page.browser.execute_script("window.name = JSON.stringify([arguments[0], arguments[1]])", selector, count)
            page.browser.get(url)
            took[name].append(page.wait(f"{name} to be usable", lambda: page.browser.execute_script("return window.usableAt")))
    return took


def main():
    page = Page(is_measured=True)
    print(json.dumps({"weights": weigh(page), "usable": usable(page)}))
    page.close()


main()
