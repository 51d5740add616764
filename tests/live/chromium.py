"""A real browser and the few things that a person does with it; what the scripts beside it share.

Debian's Chromium, headless, through its own driver. Screenshots go to FOLDER.
"""

import base64
import json
import sys
import tempfile
import time
import urllib.request

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

PATIENCE = 60
BASE, SCENARIO, FOLDER = sys.argv[1:4]
PROJECT = BASE + "/v2-beta/projects/1a5"


def open_browser(width=1280, height=900, dark=False, is_measured=False):
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
        "--disable-dev-shm-usage", f"--window-size={width},{height}", "--user-data-dir=" + tempfile.mkdtemp(),
    ]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", **({"performance": "ALL"} if is_measured else {})})
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    if dark:
        media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    return browser


class Page:
    """A browser and the few things that a person does with it."""

    def __init__(self, **how):
        self.browser = open_browser(**how)

    def open(self, url):
        # Changing the fragment alone loads nothing.
        self.browser.get("about:blank")
        self.browser.get(url)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, what, look):
        """Looks until there is something; a page that is being drawn anew is looked at again."""
        deadline, last = time.time() + PATIENCE, None
        while time.time() < deadline:
            try:
                found = look()
                if found:
                    return found
            except Exception as error:  # the element went away, or is not there yet
                last = error
            time.sleep(0.05)
        self.shoot("failed-" + SCENARIO)
        raise SystemExit(f"never came: {what}\n{last}\n{self.one('body').text[-1500:]}")

    def field(self, name):
        return self.wait("the field " + name, lambda: self.one(f'.panel .f[data-field="{name}"]'))

    def fill(self, name, text):
        box = self.field(name).find_element(By.TAG_NAME, "input")
        box.clear()
        box.send_keys(text)

    def error_at(self, name):
        return self.wait("an error at " + name, lambda: self.field(name).find_element(By.CSS_SELECTOR, ".err").text)

    def press(self, text, within="main"):
        def go():
            for button in self.all(within + " button"):
                if button.text == text and button.is_enabled():
                    button.click()
                    return True
        self.wait("the button " + text, go)

    def state(self, wanted):
        self.wait("the state " + wanted, lambda: self.one("#state").text == wanted)

    def shoot(self, name):
        self.browser.save_screenshot(f"{FOLDER}/{name}.png")

    def events(self):
        """What the network did since it was last asked."""
        entries = (json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance"))
        return [(entry["method"], entry["params"]) for entry in entries]

    def measure(self):
        """Counts from now on."""
        self.events()
        self.seen, self.last = [], time.time()

    def is_quiet(self, seconds):
        """Whether nothing was asked for in this time."""
        if not hasattr(self, "seen"):
            self.measure()
        fresh = self.events()
        self.seen += fresh
        if any(method in ("Network.requestWillBeSent", "Network.loadingFinished") for method, _ in fresh):
            self.last = time.time()
        return time.time() - self.last > seconds

    def cost(self):
        """What came over the network since `measure`, in bytes: by requests, and with the frames of sockets."""
        self.seen += self.events()
        urls, sizes, frames, changes = {}, {}, 0, 0
        for method, about in self.seen:
            if method == "Network.requestWillBeSent" and about["request"]["url"].startswith("http"):
                urls[about["requestId"]] = about["request"]["url"]
            elif method == "Network.requestServedFromCache":
                urls.pop(about["requestId"], None)
            elif method == "Network.responseReceived" and (about["response"].get("fromDiskCache") or about["response"].get("fromMemoryCache")):
                urls.pop(about["requestId"], None)
            elif method == "Network.loadingFinished" and about["requestId"] in urls:
                sizes[urls[about["requestId"]]] = int(about["encodedDataLength"])
            elif method == "Network.webSocketFrameReceived":
                frames += len(about["response"]["payloadData"]) + 4
                changes += "resource.change" in about["response"]["payloadData"]
        http = sum(sizes.values())
        return {"http": http, "bytes": http + frames, "changes": changes, "urls": list(urls.values()), "sizes": dict(sorted(sizes.items(), key=lambda one: -one[1])[:12])}

    def cost_of(self, url, is_cold):
        """What a page costs until nothing is asked for any more: a browser that was never here, or one that was here a moment ago."""
        if is_cold:
            self.browser.execute_cdp_cmd("Network.clearBrowserCache", {})
            self.browser.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": BASE, "storageTypes": "local_storage"})
        self.browser.get("about:blank")
        self.measure()
        self.open(url)
        self.wait("the page " + url, lambda: self.one("#middle h1").text)
        self.wait("quiet", lambda: self.is_quiet(1.5))
        return self.cost()

    def close(self):
        self.browser.quit()


def post(path, body, key=None):
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(key).encode()).decode()
    request = urllib.request.Request(PROJECT + path, json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return json.load(opener.open(request))
