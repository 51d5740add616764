"""Drives the pages of a server with a real browser: browser.py BASE_URL SCENARIO FOLDER [PORT]"""

import sys
import threading
import urllib.request
from collections import Counter

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from chromium import BASE, PROJECT, SCENARIO, Page, post


def service():
    """A stack and a service by form, activated, upgraded and rolled back: nothing is ever loaded again by hand."""
    page = Page()
    page.open(PROJECT + "/stacks#create")
    page.fill("name", "shop")
    page.press("Create")
    page.state("active")
    page.open(PROJECT + "/services#create=service")
    page.fill("name", "we b")
    stack = page.field("stackId")
    stack.find_element(By.TAG_NAME, "button").click()
    page.wait("a stack to pick", lambda: stack.find_element(By.CSS_SELECTOR, ".item")).click()
    page.fill("imageUuid", "sim:web")
    page.press("Create")
    assert "InvalidCharacters" in page.error_at("name"), page.error_at("name")
    page.shoot("error-at-its-field")
    page.fill("name", "web")
    page.press("Create")
    page.state("inactive")
    page.press("activate")
    page.state("active")
    page.press("upgrade")
    page.press("Add inServiceStrategy")
    page.fill("intervalMillis", "50")
    assert page.field("imageUuid").find_element(By.TAG_NAME, "input").get_attribute("value") == "sim:web"
    page.fill("imageUuid", "sim:web2")
    page.press("Send")
    assert "MinLimitExceeded" in page.error_at("intervalMillis")
    page.fill("intervalMillis", "100")
    page.press("Send")
    page.state("upgraded")
    page.shoot("upgraded")
    page.press("rollback")
    page.state("active")
    page.close()


def pages():
    """A thousand rows, page by page; a filter; and what a keyboard and a screen reader find."""
    for number in range(1000):
        post("/genericobjects", {"name": f"row-{number:04}", "key": str(number)})
    page = Page()
    page.open(PROJECT + "/genericobjects?limit=100&sort=name")
    seen = []
    for number in range(10):
        first = f"row-{number * 100:04}"
        page.wait("the page of " + first, lambda: first in page.one("#middle table").text)
        names = "return [...document.querySelectorAll('#middle tbody tr')].map(row => row.innerText.match(/row-[0-9]+/)[0])"
        seen += page.browser.execute_script(names)
        if number < 9:
            page.press("Next", within="#middle")
    assert seen == [f"row-{number:04}" for number in range(1000)], f"{len(seen)} rows, {seen[:3]} … {seen[-3:]}"
    nameless = page.browser.execute_script(
        """return [...document.querySelectorAll('button, a[href], input, select, textarea, summary')].filter(e =>
             e.offsetParent && !((e.getAttribute('aria-label') || e.textContent || e.title || '').trim()
               || (e.labels && [...e.labels].some(l => l.textContent.trim())) || e.getAttribute('aria-labelledby')))
           .map(e => e.outerHTML.slice(0, 120))""")
    assert not nameless, f"controls without a name: {nameless}"
    # By keyboard alone: every step of the tab key lands on something that can be seen and used.
    page.open(PROJECT + "/genericobjects?limit=10")
    page.wait("the table", lambda: page.one("#middle table"))
    reached = set()
    for _ in range(160):
        page.browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(page.browser.execute_script("return document.activeElement.tagName"))
    assert {"A", "BUTTON", "SELECT", "INPUT"} <= reached, reached
    page.shoot("a-thousand-rows")
    page.close()
    phone = Page(width=360, height=740, dark=True)
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    phone.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for name, path in [("project", ""), ("list", "/genericobjects?limit=10"), ("form", "/services#create=service")]:
        phone.open(PROJECT + path)
        phone.wait("a page", lambda: phone.one("#middle").text)
        width = phone.browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= 360, f"{path} is {width} wide on a phone"
        phone.shoot("phone-" + name)
    phone.close()


def access():
    """Access control, turned on from the first page; a login at a deep address; a key, shown once."""
    page = Page()
    page.open(BASE + "/")
    page.wait("the way to turn it on", lambda: page.one(".turn-on summary")).click()
    page.one("[name=username]").send_keys("admin")
    page.one("[name=password]").send_keys("correct horse 1")
    page.one("[name=again]").send_keys("correct horse 2")
    page.one(".turn-on button.go").click()
    page.wait("a second look", lambda: "are not the same" in page.one("body").text)
    page.one("[name=again]").clear()
    page.one("[name=again]").send_keys("correct horse 1")
    page.one(".turn-on button.go").click()
    page.wait("a login cookie", lambda: page.browser.get_cookie("token"))
    page.browser.delete_cookie("token")
    page.open(BASE + "/v2-beta/projects")
    page.wait("the login page", lambda: page.one("[name=password]")).send_keys("wrong")
    page.one("[name=username]").send_keys("admin")
    page.one("button.go").click()
    page.wait("a refusal", lambda: "is wrong" in page.one("body").text and page.one("[name=password]"))
    page.one("[name=username]").clear()
    page.one("[name=username]").send_keys("admin")
    page.one("[name=password]").clear()
    page.one("[name=password]").send_keys("correct horse 1")
    page.one("button.go").click()
    page.wait("the projects", lambda: "Default" in page.one("#middle").text)
    page.open(BASE + "/v2-beta/apikeys#create")
    page.press("Create")
    shown = page.wait("the new key", lambda: page.all(".once input"))
    key = [box.get_attribute("value") for box in shown]
    assert len(key) == 2 and all(key)
    page.shoot("a-new-key")
    watch_in_a_second_tab(page, key)
    outlive_a_session(page)
    page.close()


def outlive_a_session(page):
    """A form that is being filled in stays when the session ends, and can be sent after a new login."""
    page.open(PROJECT + "/stacks#create")
    page.fill("name", "outlives")
    page.browser.delete_cookie("token")
    page.press("Create")
    page.wait("the login beside it", lambda: page.one("dialog.session [name=password]")).send_keys("correct horse 1")
    page.one("dialog.session [name=username]").send_keys("admin")
    page.shoot("session-ended")
    page.one("dialog.session button.go").click()
    page.wait("the form alone", lambda: not page.all("dialog.session"))
    assert page.field("name").find_element("tag name", "input").get_attribute("value") == "outlives"
    page.press("Create")
    page.state("active")


def watch_in_a_second_tab(page, key):
    """What a script does with the key shows in another tab by itself, row for row and state for state."""
    page.browser.switch_to.new_window("tab")
    page.open(PROJECT + "/services")
    page.wait("an empty list", lambda: "0" in page.one("#middle").text)
    page.browser.execute_script("window.loadedOnce = true")
    stack = post("/stacks", {"name": "shop"}, key)
    body = {"name": "web", "stackId": stack["id"], "scale": 2, "launchConfig": {"imageUuid": "sim:web"}, "startOnCreate": True}
    service = post("/services", body, key)

    def row():
        return page.one(f'#middle tbody tr[data-row="{service["id"]}"]').text

    page.wait("the service to be active", lambda: "active" in row().split() and "web" in row())
    strategy = {"batchSize": 1, "intervalMillis": 100, "launchConfig": {"imageUuid": "sim:web2"}}
    post(f"/services/{service['id']}?action=upgrade", {"inServiceStrategy": strategy}, key)
    page.wait("the upgrade to end", lambda: "upgraded" in row().split())
    post(f"/services/{service['id']}?action=rollback", {}, key)
    page.wait("the service to be active again", lambda: "active" in row().split())
    assert page.browser.execute_script("return window.loadedOnce"), "the page was loaded again"
    page.shoot("watched-live")


COMPOSE = """version: '2'
services:
  web:
    image: drover-test/web:1
  shop:
    image: drover-test/web:1
  news:
    image: drover-test/web:1
  lb:
    image: rancher/lb-service-haproxy
    ports: ['PORT:PORT']
"""
RANCHER = """version: '2'
services:
  web:
    scale: 2
    upgrade_strategy: {batch_size: 1, interval_millis: 2000}
  shop: &alone
    scale: 1
    upgrade_strategy: {start_first: true}
    health_check: {port: 80, request_line: GET /health HTTP/1.0, interval: 200, response_timeout: 1000, healthy_threshold: 1, unhealthy_threshold: 2}
  news: *alone
  lb:
    lb_config:
      port_rules:
      - {source_port: PORT, target_port: 80, service: web, protocol: http}
      - {source_port: PORT, target_port: 80, service: shop, hostname: shop.test, protocol: http}
      - {source_port: PORT, target_port: 80, service: news, hostname: news.test, protocol: http}
"""


class Visitor:
    """Somebody who asks a host again and again, and remembers what was answered."""

    def __init__(self, port, host):
        self.request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": host})
        self.answers, self.is_over = Counter(), False
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.thread = threading.Thread(target=self.go, daemon=True)
        self.thread.start()

    def ask(self):
        try:
            return self.opener.open(self.request, timeout=20).read().decode().strip()
        except OSError as failure:
            return f"failed: {failure}"

    def go(self):
        while not self.is_over:
            self.answers[self.ask()] += 1

    def leave(self):
        self.is_over = True
        self.thread.join()
        return self.answers


def files():
    """Three services behind a balancer, from compose files: made, scaled, upgraded and rolled back by the mouse."""
    port = sys.argv[4]
    compose, rancher = COMPOSE.replace("PORT", port), RANCHER.replace("PORT", port)
    page = Page()

    def write(name, text):
        """Several lines, as they are pasted."""
        if not page.field(name).find_elements(By.TAG_NAME, "textarea"):
            page.field(name).find_element(By.CSS_SELECTOR, "button").click()
        box = page.wait("a box of lines", lambda: page.field(name).find_element(By.TAG_NAME, "textarea"))
        box.clear()
        box.send_keys(text)

    def row(name):
        rows = page.all('section[aria-label="services"] tbody tr')
        return next(one for one in rows if one.find_element(By.CSS_SELECTOR, "a").text == name)

    def click(what, selector):
        page.wait(what, lambda: page.one(selector)).click()

    page.open(BASE + "/")
    page.wait("the way to a new stack", lambda: [a for a in page.all(".project a") if a.text == "new stack"])[0].click()
    page.fill("name", "app")
    write("dockerCompose", compose)
    write("rancherCompose", rancher)
    page.field("startOnCreate").find_element(By.CSS_SELECTOR, 'select:not(.mode) option[value="true"]').click()
    page.shoot("files-form")
    page.press("Create")
    page.state("active")
    page.wait("all of them to run", lambda: all("active" in row(name).text.split() for name in ("web", "shop", "news", "lb")))
    visitors = {host: Visitor(port, host) for host in ("any.test", "shop.test", "news.test")}
    for host, visitor in visitors.items():
        page.wait("an answer of " + host, lambda: visitor.answers["1"])
        visitor.answers.clear()
    page.shoot("files-stack")
    row("web").find_element(By.CSS_SELECTOR, "a").click()
    page.wait("its page", lambda: page.one("#middle h1").text.startswith("web"))
    click("the button", '[data-key="scale up"]')
    page.wait("three of them", lambda: page.one(".sentence").text.startswith("3 of 3 running"))
    page.browser.back()
    page.wait("the stack", lambda: page.one("#middle h1").text.startswith("app"))
    click("the button", '[data-action="upgrade"]')
    assert page.wait("the file of now", lambda: page.field("dockerCompose").find_element(By.TAG_NAME, "textarea")).get_attribute("value") == compose
    write("dockerCompose", compose.replace("web:1", "web:2"))
    page.shoot("files-upgrade")
    page.press("Send")
    page.state("upgraded")
    for host, visitor in visitors.items():
        page.wait("the new version at " + host, lambda: visitor.ask() == "2")
        assert set(visitor.answers) == {"1", "2"}, f"{host}: {visitor.answers}"
    click("the button", '[data-action="rollback"]')
    page.state("active")
    for host, visitor in visitors.items():
        page.wait("the old version at " + host, lambda: visitor.ask() == "1")
        answers = visitor.leave()
        # What has one container only is away while that is another one again.
        assert host != "any.test" or set(answers) == {"1", "2"}, f"{host}: {answers}"
    page.shoot("files-rolled-back")
    click("the button", '[data-do="remove"]')
    page.press("Remove", within="aside")
    page.state("removed")
    page.close()


{"service": service, "pages": pages, "access": access, "files": files}[SCENARIO]()
