"""What makes one choose the explorer, point by point: explorer.py BASE_URL all|NAME,NAME FOLDER

One browser and one server for all of them; each point makes what it needs, and says by a sentence what it found.
"""

import json
import socket
import threading
import time
import traceback
import urllib.request

import axe_core_python
from pathlib import Path

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from chromium import BASE, FOLDER, PROJECT, SCENARIO, Page, post

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PAGE = Page(is_measured=True)
MADE = {}


def call(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return json.load(OPENER.open(urllib.request.Request(url, data, headers, method=method)))


def get(path):
    return call("GET", PROJECT + path)


def until(what, look, patience=60):
    deadline, last = time.time() + patience, None
    while time.time() < deadline:
        last = look()
        if last:
            return last
        time.sleep(0.05)
    raise AssertionError(f"never came: {what}: {last}")


def stack(name="shop"):
    if name not in MADE:
        MADE[name] = post("/stacks", {"name": name})
    return MADE[name]


def service(name, within="shop", scale=2, **more):
    key = f"{within}/{name}"
    if key not in MADE:
        body = {"name": name, "stackId": stack(within)["id"], "scale": scale, "startOnCreate": True}
        body["launchConfig"] = {"imageUuid": "sim:nginx:1.27", "ports": more.pop("ports", [])}
        body.update(more)
        MADE[key] = post("/services", body)
    made = MADE[key]
    until(f"{name} to be active", lambda: get(f"/services/{made['id']}")["state"] == "active")
    return made


def at(row):
    return f"{PROJECT}/{row['type']}s/{row['id']}"


def script(text, *arguments):
    return PAGE.browser.execute_script(text, *arguments)


def text_of(selector):
    return PAGE.one(selector).text


def focus():
    return script("return document.activeElement.textContent.trim()")


def keys(*what):
    PAGE.browser.switch_to.active_element.send_keys(*what)


def press(*what):
    """Keys, to whatever has the focus."""
    ActionChains(PAGE.browser).send_keys(*what).perform()


def chord(key, other):
    ActionChains(PAGE.browser).key_down(key).send_keys(other).key_up(key).perform()


def step_to(selector, most=40):
    """Goes by the tab key until there. Wherever it stops on the way can be seen, and is seen to have the focus."""
    way = []
    for _ in range(most):
        press(Keys.TAB)
        at = script("""
            const e = document.activeElement, box = e.getBoundingClientRect(), look = getComputedStyle(e);
            return {is: e.matches(arguments[0]), what: e.outerHTML.slice(0, 90),
                    isSeen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
                    isMarked: look.outlineStyle !== 'none' || look.boxShadow !== 'none'}""", selector)
        assert at["isSeen"] and at["isMarked"], (at, way[-4:])
        if at["is"]:
            return
        way.append(at["what"])
    raise AssertionError(f"{selector} is not reached by {most} steps: {way}")


def find(text, first):
    """Takes what the line that finds everything offers first."""
    press("/")
    PAGE.wait("the line", lambda: PAGE.one("dialog.palette input"))
    press(text)
    PAGE.wait(first, lambda: PAGE.all("dialog.palette li")[0].text.startswith(first))
    press(Keys.ENTER)


def open_page(url, selector="#middle h1"):
    PAGE.open(url)
    PAGE.wait("the page " + url, lambda: PAGE.one(selector).text)


# The points.


def p01_a_new_page_begins_at_its_heading_and_back_comes_back():
    made = [service(f"place-{n}", "places", 1) for n in range(3)]
    for number in range(40):
        post("/genericobjects", {"name": f"filler-{number:02}", "key": str(number)})
    open_page(PROJECT + "/genericobjects?limit=100")
    row = PAGE.wait("the last row", lambda: PAGE.all("#middle tbody tr")[-1])
    link = row.find_element(By.CSS_SELECTOR, "a")
    name = link.text
    script("arguments[0].scrollIntoView()", link)
    script("arguments[0].focus()", link)
    scrolled = script("return scrollY")
    assert scrolled > 200, scrolled
    keys(Keys.ENTER)
    PAGE.wait("the thing", lambda: PAGE.one("#middle h1").text.startswith(name))
    PAGE.wait("its heading to have the focus", lambda: focus().startswith(name))
    assert script("return scrollY") == 0
    PAGE.browser.back()
    PAGE.wait("the list", lambda: PAGE.one("#middle h1").text.startswith("genericObjects"))
    PAGE.wait("the place", lambda: abs(script("return scrollY") - scrolled) < 40)
    PAGE.wait("the focus on the same link", lambda: focus() == name)
    return made


def p02_the_left_column_counts_what_is_here_and_the_project_can_be_changed():
    service("web")
    open_page(PROJECT + "/stacks")
    here = lambda: {link.get_attribute("data-type"): link.text.split() for link in PAGE.all("#types > ul a")}
    PAGE.wait("the counts", lambda: all(len(words) == 2 for words in here().values()) and here())
    assert list(here()) == ["stack", "service", "container", "host", "volume", "secret"], here()
    before = int(here()["stack"][1])
    MADE["counted"] = post("/stacks", {"name": "counted"})
    PAGE.wait("one stack more", lambda: int(here()["stack"][1]) == before + 1)
    assert not script("return document.querySelector('#types > details').open"), "all types are folded"
    script("document.querySelector('#types > details').open = true")
    plain = script("return [...document.querySelectorAll('#types > details > ul a')].map(a => a.textContent)")
    more = script("return [...document.querySelectorAll('#types details.more a')].map(a => a.textContent)")
    assert "registries" in plain and "auditLogs" in plain, plain
    assert "serviceExposeMaps" in more and "serviceExposeMaps" not in plain, more
    script("document.querySelector('#types > details').open = false")
    other = call("POST", BASE + "/v2-beta/projects", {"name": "second"})
    MADE["second"] = other
    open_page(PROJECT + "/stacks")
    PAGE.wait("both projects", lambda: "second" in text_of(".project-switch"))
    script("const s = document.querySelector('.project-switch'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))", other["id"])
    PAGE.wait("the stacks of the other project", lambda: f"/projects/{other['id']}/stacks" in PAGE.browser.current_url)
    open_page(at(service("web")))
    open_page(PROJECT + "/stacks")
    PAGE.wait("what was looked at last", lambda: "web" in text_of("#types > div"))


def p03_a_thing_is_told_in_a_sentence_with_its_containers():
    answering = service("answering", scale=1, ports=["18080:80/tcp"])
    open_page(at(answering))
    PAGE.wait("the sentence with its ports", lambda: text_of(".sentence").startswith("1 of 1 running, nginx:1.27, ports 18080:80/tcp, made "))
    endpoint = PAGE.wait("where it answers", lambda: PAGE.one('.facts a[target="_blank"]'))
    assert endpoint.get_attribute("href").endswith(":18080/"), endpoint.get_attribute("href")
    made = service("told", scale=3)
    open_page(at(made))
    PAGE.wait("the sentence", lambda: text_of(".sentence").startswith("3 of 3 running, nginx:1.27, made "))
    PAGE.wait("its containers", lambda: len(PAGE.all('section[aria-label="instances"] tbody tr')) == 3)
    rows = text_of('section[aria-label="instances"] table')
    assert rows.count("running") == 3 and "nginx:1.27" in rows and "10." in rows, rows
    order = script("const y = s => document.querySelector(s).getBoundingClientRect().top; return [y('.sentence'), y('section[aria-label=instances]'), y('.json')]")
    assert order == sorted(order), f"the page for people comes first: {order}"
    instance = get(f"/services/{made['id']}/instances")["data"][0]
    script("window.loadedOnce = true")
    call("DELETE", f"{PROJECT}/containers/{instance['id']}")
    PAGE.wait("a new container in its place", lambda: instance["id"] not in script("return [...document.querySelectorAll('section[aria-label=instances] tbody tr:not(.gone)')].map(r => r.dataset.row)") and text_of('section[aria-label="instances"] table').count("running") == 3)
    assert script("return window.loadedOnce")
    for path, said in [(at(stack()), "services, made"), (f"{PROJECT}/hosts/{get('/hosts')['data'][0]['id']}", "container"), (f"{PROJECT}/containers/{get('/services/' + made['id'] + '/instances')['data'][-1]['id']}", "nginx:1.27, address 10.")]:
        open_page(path)
        PAGE.wait("a sentence of " + path, lambda: said in text_of(".sentence"))


def p04_a_form_shows_what_people_set_first_and_its_button():
    stack()
    open_page(PROJECT + "/services")
    PAGE.one("body").send_keys("c")
    title = PAGE.wait("the form of the own type", lambda: text_of("form.panel h2"))
    assert title.startswith("Create service"), title
    names = lambda: [node.get_attribute("data-field") for node in PAGE.all("form.panel .f")]
    assert names()[:8] == ["name", "stackId", "scale", "launchConfig", "imageUuid", "ports", "environment", "healthCheck"], names()
    box = script("const b = document.querySelector('form.panel .go').getBoundingClientRect(); return [b.top, b.bottom, innerHeight]")
    assert 0 < box[0] and box[1] <= box[2], f"the button is in sight: {box}"
    assert not script("return document.querySelector('form.panel .preview').open"), "the request is folded"
    width = script("return document.querySelector('form.panel').getBoundingClientRect().width")
    assert 500 < width <= 700, width
    groups = script("return [...document.querySelectorAll('.f[data-field=launchConfig] .group > summary')].map(s => s.firstChild.textContent.trim())")
    assert {"network", "storage", "limits", "security"} <= set(groups), groups
    adder = PAGE.one('input[aria-label="add a field to launchConfig"]')
    adder.send_keys("capad")
    PAGE.wait("what fits", lambda: "capAdd" in PAGE.one('input[aria-label="add a field to launchConfig"] + ul').text)
    adder.send_keys(Keys.ENTER)
    PAGE.wait("the field", lambda: "capAdd" in names())
    PAGE.fill("name", "by-form")
    PAGE.fill("imageUuid", "sim:web")
    PAGE.shoot("form")
    # What was filled in is not lost unasked.
    PAGE.one("form.panel [data-do=cancel]").click()
    PAGE.browser.switch_to.alert.dismiss()
    # The button that opened it leads back to it.
    PAGE.one('aside [data-do="create"]').click()
    PAGE.wait("the first field again", lambda: script("return document.activeElement.closest('.f')?.dataset.field") == "name")
    script("location.hash")
    PAGE.all("#types a")[0].click()
    PAGE.browser.switch_to.alert.dismiss()
    assert PAGE.field("name").find_element(By.TAG_NAME, "input").get_attribute("value") == "by-form"
    stack_field = PAGE.field("stackId")
    stack_field.find_element(By.TAG_NAME, "button").click()
    PAGE.wait("a stack to pick", lambda: stack_field.find_element(By.CSS_SELECTOR, f'.item[data-id="{stack()["id"]}"]')).click()
    script("document.querySelector('form.panel .preview').open = true")
    shown = text_of("form.panel .req")
    assert '"scale"' not in shown and '"imageUuid":"sim:web"' in shown, shown
    script("document.querySelector('form.panel .preview').open = false")
    PAGE.press("Create")
    PAGE.state("inactive")


def p05_scale_and_actions_take_one_click_and_can_be_taken_back():
    made = service("scaled", scale=1)
    open_page(at(made))
    PAGE.wait("the number", lambda: text_of(".stepper output") == "1")
    for _ in range(2):
        PAGE.one('[data-key="scale up"]').click()
    until("the scale to be 3", lambda: get(f"/services/{made['id']}")["scale"] == 3)
    PAGE.wait("the notice", lambda: "scale 1 → 3" in text_of("#notices"))
    PAGE.one("#notices summary").click()
    assert '{"scale":3}' in text_of("#notices .req")
    PAGE.one("#notices .undo").click()
    until("the scale to be 1 again", lambda: get(f"/services/{made['id']}")["scale"] == 1)
    PAGE.state("active")
    PAGE.wait("the action", lambda: PAGE.one('[data-action="deactivate"]')).click()
    PAGE.state("inactive")
    PAGE.wait("a way back", lambda: [b for b in PAGE.all("#notices .notice") if "deactivate" in b.text][0].find_element(By.CSS_SELECTOR, ".undo")).click()
    PAGE.state("active")


def p06_logs_shell_and_charts_come_from_the_streams():
    made = service("watched", scale=1)
    container = get(f"/services/{made['id']}/instances")["data"][0]
    open_page(f"{PROJECT}/containers/{container['id']}")
    PAGE.state("running")
    PAGE.one("body").send_keys("l")
    PAGE.wait("a line of the log", lambda: text_of(".log").strip())
    PAGE.one("body").send_keys("s")
    PAGE.wait("the shell", lambda: "open" in text_of('section[aria-label="Shell"]'))
    said = script("return document.querySelectorAll('.xterm-screen span').length >= 0 && document.querySelector('.xterm') !== null")
    assert said
    PAGE.wait("a prompt of any kind", lambda: script("return document.activeElement.classList.contains('xterm-helper-textarea')"))
    keys("echo hello")
    PAGE.wait("what was typed", lambda: "hello" in script("return document.querySelector('.xterm-rows').textContent"))
    PAGE.shoot("shell")
    script("document.activeElement.blur()")
    PAGE.one("body").send_keys("t")
    PAGE.wait("both charts", lambda: len(PAGE.all(".chart")) == 2)
    PAGE.wait("a memory that is measured", lambda: "B" in PAGE.all(".figure strong")[1].text)
    PAGE.wait("a processor that is measured", lambda: "%" in PAGE.all(".figure strong")[0].text)
    refused = [entry["message"] for entry in PAGE.browser.get_log("browser") if "Content Security Policy" in entry["message"]]
    assert not refused, refused
    PAGE.one("body").send_keys("t")
    PAGE.wait("no charts", lambda: not PAGE.all(".chart"))


def p07_one_line_finds_types_things_and_actions():
    made = service("needle")
    open_page(at(made))
    PAGE.one("body").send_keys("/")
    PAGE.wait("the line", lambda: PAGE.one("dialog.palette input"))
    options = lambda: [node.text for node in PAGE.all("dialog.palette li")]
    keys("ser")
    PAGE.wait("types, what begins so first", lambda: options() and options()[0].startswith("services"))
    keys(Keys.BACKSPACE * 3 + "deact")
    PAGE.wait("the action of the page", lambda: options() and options()[0].startswith("deactivate needle"))
    keys(Keys.BACKSPACE * 5 + "needl")
    PAGE.wait("the thing", lambda: any(text.startswith("needle ") and made["id"] in text for text in options()))
    keys(Keys.ESCAPE, Keys.ESCAPE)
    PAGE.wait("it is gone", lambda: not PAGE.all("dialog.palette"))
    open_page(PROJECT + "/hosts")
    PAGE.one("body").send_keys(Keys.CONTROL + "k")
    PAGE.wait("the line", lambda: PAGE.one("dialog.palette input"))
    keys("needl")
    PAGE.wait("the thing", lambda: options() and options()[0].startswith("needle "))
    keys(Keys.ENTER)
    PAGE.wait("its page", lambda: text_of("#middle h1").startswith("needle"))


def p08_ids_have_names_times_are_relative_and_links_are_drawn():
    one, other = service("asks", "drawn", 1), service("answers", "drawn", 1)
    post(f"/services/{one['id']}?action=addservicelink", {"serviceLink": {"serviceId": other["id"], "name": "db"}})
    open_page(PROJECT + "/services?name=asks")
    cell = PAGE.wait("the stack by its name", lambda: [a for a in PAGE.all("#middle td a") if a.text == "drawn"])[0]
    assert cell.get_attribute("title") == one["stackId"]
    moment = PAGE.wait("a time", lambda: PAGE.one("#middle td time"))
    assert moment.text.endswith("ago") or moment.text == "just now", moment.text
    assert moment.get_attribute("title")[:4] == "20" + moment.get_attribute("title")[2:4] and "T" in moment.get_attribute("title")
    open_page(at(one))
    PAGE.wait("the name beside the id in the JSON", lambda: "drawn" in text_of(".json"))
    open_page(at(stack("drawn")))
    picture = PAGE.wait("the picture of the links", lambda: PAGE.one("svg.graph"))
    assert "asks uses answers" in picture.get_attribute("aria-label"), picture.get_attribute("aria-label")
    PAGE.one("svg.graph a").click()
    PAGE.wait("the page of a node", lambda: text_of("#middle h1").startswith("asks"))
    # What is made from a stack's page belongs to it.
    open_page(at(stack("drawn")))
    PAGE.wait("the way to another service", lambda: PAGE.one('section[aria-label="services"] [data-key="create service"]')).click()
    chosen = PAGE.field("stackId").find_element(By.TAG_NAME, "input").get_attribute("value")
    assert chosen == stack("drawn")["id"], chosen


def p09_lists_change_by_the_rows_of_events():
    many = stack("many")
    for number in range(1000):
        post("/services", {"name": f"n-{number:04}", "stackId": many["id"], "launchConfig": {"imageUuid": "sim:web"}})
    open_page(f"{PROJECT}/services?limit=1000&stackId={many['id']}&sort=name")
    PAGE.wait("all rows", lambda: len(PAGE.all("#middle tbody tr")) == 1000)
    PAGE.wait("the line to be open", lambda: text_of(".live") == "live")
    rows = get(f"/services?limit=1000&stackId={many['id']}&fields=name")["data"]
    PAGE.measure()
    started = time.time()
    # Each of these changes its row twice: it is being updated, and then it is not. On a busy machine both may come as one.
    made = 0
    while PAGE.cost()["changes"] < 90 and made < 200:
        call("PUT", f"{PROJECT}/services/{rows[made]['id']}", {"scale": 2 + made})
        made += 1
        time.sleep(max(0, started + made / 5 - time.time()))
    last, scale = rows[made - 1]["id"], str(1 + made)
    row = "return [...document.querySelectorAll('#middle tbody tr')].find(r => r.dataset.row === arguments[0]).textContent"
    PAGE.wait("the last change", lambda: scale in script(row, last) and "updating" not in script(row, last))
    cost = PAGE.cost()
    assert cost["changes"] >= 90, f"{cost['changes']} changes in {time.time() - started:.0f} s"
    lists = [url for url in cost["urls"] if "/services?" in url and "counts=" not in url]
    assert not lists, f"no list is read anew: {lists}"
    assert cost["bytes"] < 100_000, f"{cost['changes']} changes cost {cost['bytes']} bytes"
    place = script("window.scrollTo(0, 5000); return scrollY")
    for number in range(3):
        post("/services", {"name": f"a-new-{number}", "stackId": many["id"], "launchConfig": {"imageUuid": "sim:web"}})
    PAGE.wait("word of the new ones", lambda: text_of('[data-do="fresh"]') == "3 new")
    assert script("return scrollY") - place < 60 and len(PAGE.all("#middle tbody tr")) == 1000, "nothing jumps"
    return {"changes": cost["changes"], "bytes": cost["bytes"]}


def p10_answers_are_compressed_and_nothing_is_read_twice():
    service("weighed", "weights")
    if "many" not in MADE:
        raise AssertionError("comes after the thousand services")
    limits = {"/": 120_000, f"/v2-beta/projects/1a5/services/{MADE['weights/weighed']['id']}": 120_000, "/v2-beta/projects/1a5/services?limit=100": 150_000}
    told = {}
    # What still changes would be shown by reading it again, as it should.
    open_page(BASE + "/")
    PAGE.measure()
    PAGE.wait("that nothing changes any more", lambda: PAGE.is_quiet(4))
    for path, limit in limits.items():
        for state in ("cold", "warm"):
            cost = PAGE.cost_of(BASE + path, state == "cold")
            told[f"{path} {state}"] = cost["http"]
            twice = sorted({url for url in cost["urls"] if cost["urls"].count(url) > 1})
            assert not twice, f"{path} {state}: read twice: {twice}"
            most = limit if state == "cold" else 20_000
            assert cost["http"] <= most, f"{path} {state}: {cost['http']} bytes, {cost['sizes']}"
    return told


def p11_several_rows_share_their_actions_and_views_are_saved():
    made = [service(f"chosen-{n}", "chosen", 1) for n in range(3)]
    url = f"{PROJECT}/services?stackId={stack('chosen')['id']}"
    open_page(url)
    PAGE.wait("the totals", lambda: "3 services" in text_of(".totals") and "3 ok" in text_of(".totals"))
    for row in made[:2]:
        PAGE.one(f'tr[data-row="{row["id"]}"] input').click()
    PAGE.wait("the bar", lambda: "2 chosen" in text_of(".selection"))
    PAGE.one('[data-bulk="deactivate"]').click()
    PAGE.wait("the end of it", lambda: "deactivate: 2 done" in text_of("#notices"))
    for row in made[:2]:
        until("it is inactive", lambda: get(f"/services/{row['id']}")["state"] == "inactive")
    assert get(f"/services/{made[2]['id']}")["state"] == "active"
    PAGE.wait("the rows to say so", lambda: text_of("#middle tbody").count("inactive") == 2)
    PAGE.one('[data-do="save-view"]').click()
    PAGE.browser.switch_to.alert.send_keys("mine")
    PAGE.browser.switch_to.alert.accept()
    PAGE.wait("it is saved", lambda: PAGE.one('[data-saved="mine"]'))
    open_page(PROJECT + "/services?limit=5")
    PAGE.wait("the saved view", lambda: PAGE.one('[data-saved="mine"]')).click()
    PAGE.wait("its filter", lambda: f"stackId={stack('chosen')['id']}" in PAGE.browser.current_url)


def p12_colours_mean_something_and_home_has_bars():
    service("well", "bars", 1)
    stopped = service("stopped", "bars", 1)
    call("POST", f"{PROJECT}/services/{stopped['id']}?action=deactivate", {})
    for number in range(25):
        if f"home-{number:02}" not in MADE:
            stack(f"home-{number:02}")
    open_page(BASE + "/")
    line = lambda name: next(node for node in PAGE.all(".stack-line") if node.text.split("\n")[0] == name)
    box = PAGE.wait("the filter", lambda: PAGE.one('.project input[type="search"]'))
    PAGE.wait("twenty stacks", lambda: len(PAGE.all('[aria-label="project Default"] .stack-line')) == 20)
    box.send_keys("bars")
    bar = lambda text: text if "1 ok" in text and "1 stopped" in text else None
    said = PAGE.wait("the bar of one", lambda: bar(line("bars").text))
    assert "active" in said, f"what is at rest does not fail: {said}"
    PAGE.shoot("home")
    gone = service("gone", "bars", 1)
    call("DELETE", f"{PROJECT}/services/{gone['id']}")
    until("it is removed", lambda: get(f"/services/{gone['id']}")["state"] == "removed")
    open_page(at(gone))
    PAGE.wait("the state", lambda: text_of("#state") == "removed")
    assert not PAGE.all("aside button") and not PAGE.all(".stepper"), "what is removed offers nothing"
    assert "off" in PAGE.one("#state").get_attribute("class")


class Between:
    """A way to the server that can be cut."""

    def __init__(self):
        self.port = 0
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        threading.Thread(target=self.take, args=(self.listener,), daemon=True).start()

    def take(self, listener):
        host, port = BASE.split("//")[1].split(":")
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection((host, int(port)))
            self.pairs += [near, far]
            for one, other in [(near, far), (far, near)]:
                threading.Thread(target=self.carry, args=(one, other), daemon=True).start()

    def carry(self, one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.pairs:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def p13_a_server_that_is_away_is_said_to_be_and_a_form_stays():
    between = Between()
    base = f"http://127.0.0.1:{between.port}"
    open_page(base + "/v2-beta/projects/1a5/stacks#create")
    PAGE.fill("name", "kept")
    between.cut()
    PAGE.press("Create")
    PAGE.wait("word of it", lambda: "does not answer" in text_of(".outage") and "since" in text_of(".outage"))
    PAGE.wait("when it is asked again", lambda: "asked again" in text_of(".outage"))
    assert PAGE.field("name").find_element(By.TAG_NAME, "input").get_attribute("value") == "kept"
    PAGE.shoot("outage")
    between.open()
    PAGE.wait("that it is back", lambda: not PAGE.all(".outage:not(.back)"))
    assert PAGE.field("name").find_element(By.TAG_NAME, "input").get_attribute("value") == "kept"
    PAGE.press("Create")
    PAGE.state("active")
    between.cut()
    open_page(PROJECT + "/services/1s999999")
    assert text_of("#middle h1") == "There is nothing here"
    PAGE.one("#middle .go").click()
    PAGE.wait("the way on", lambda: text_of("#middle h1").startswith("services"))


def p14_one_timeline_tells_who_what_how_long_and_why_not():
    made = service("storied", scale=1)
    call("PUT", f"{PROJECT}/services/{made['id']}", {"scale": 2})
    open_page(at(made))
    PAGE.one('[data-key="tab Timeline"]').click()
    told = PAGE.wait("the story", lambda: "service.update" in text_of(".timeline") and text_of(".timeline"))
    for word in ("auditLog", "processInstance", "took", "127.0.0.1", "api.services.update"):
        assert word in told or word.split(".")[0] in told, f"{word} in {told}"
    PAGE.one('[data-key="tab JSON"]').click()


def p15_phones_keyboards_and_screen_readers():
    made = service("small")
    told = []
    for dark in (False, True):
        theme = "dark" if dark else "light"
        PAGE.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})
        for name, path in [("home", BASE + "/"), ("list", PROJECT + "/services?limit=10"), ("thing", at(made)), ("form", PROJECT + "/services#create=service")]:
            open_page(path)
            if name == "form":
                PAGE.wait("the form", lambda: PAGE.one("form.panel .go"))
            PAGE.wait("quiet", lambda: PAGE.is_quiet(0.4))
            script(AXE + "; window.axeIsThere = true")
            found = PAGE.browser.execute_async_script("const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations.map(v => [v.id, v.nodes.map(n => n.target.join(' ') + ' ' + n.html.slice(0, 90))])))")
            told += [f"{name} {theme}: {one}" for one in found]
            PAGE.shoot(f"{name}-{theme}")
    assert not told, "\n".join(told)
    PAGE.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    # The first content is a few steps of the tab key away, and comes before the actions and the types.
    open_page(at(made))
    PAGE.wait("its links", lambda: PAGE.all('section[aria-label="instances"] tbody a'))
    script("document.activeElement.blur()")
    where = []
    for _ in range(200):
        keys(Keys.TAB)
        place = script("const e = document.activeElement; return ['#middle', 'aside', '#types', 'header'].find(s => e.closest(s)) ?? ''")
        if not where or where[-1][0] != place:
            where.append([place, 0])
        where[-1][1] += 1
        if place == "#types":
            break
    order = [place for place, _ in where if place and place != "header"]
    assert order == ["#middle", "aside", "#types"], where
    assert where[0][0] == "#middle" or where[0][1] <= 10, where
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    PAGE.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for name, path in [("home", BASE + "/"), ("list", PROJECT + "/services?limit=10"), ("thing", at(made)), ("form", PROJECT + "/services#create=service")]:
        open_page(path)
        PAGE.wait("quiet", lambda: PAGE.is_quiet(0.4))
        assert script("return document.documentElement.scrollWidth") <= 390, path
        boxes = script("return [...document.querySelectorAll('.brand, .project-switch, .right')].map(e => e.getBoundingClientRect())")
        assert max(box["top"] for box in boxes) < min(box["bottom"] for box in boxes), f"the head takes one line and where one is: {path}"
        PAGE.shoot(f"phone-{name}")
    open_page(at(made))
    tops = PAGE.wait("the page", lambda: script("const y = s => document.querySelector(s).getBoundingClientRect().top; return [y('h1'), y('[data-action]'), y('.json')]"))
    assert tops == sorted(tops), f"actions before the JSON: {tops}"
    PAGE.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    # Copying needs no secure context.
    open_page(at(made))
    script("Object.defineProperty(navigator, 'clipboard', {value: undefined}); document.execCommand = what => (window.copied = what, true)")
    PAGE.one('[data-do="remove"]').click()
    PAGE.wait("the question", lambda: PAGE.one("form.panel .preview"))
    script("document.querySelector('form.panel .preview').open = true")
    PAGE.press("Copy")
    PAGE.wait("the copy", lambda: script("return window.copied") == "copy")
    reasons = PAGE.one(".cannot").get_attribute("textContent")
    assert "Not in state active" in reasons and "activate" in reasons, reasons


def p16_a_service_lives_by_keys_alone():
    open_page(BASE + "/")
    PAGE.wait("the project", lambda: PAGE.one('.project h2 a[href$="/1a5"]'))
    step_to('.project h2 a[href$="/1a5"]')
    press(Keys.ENTER)
    PAGE.wait("the project", lambda: PAGE.browser.current_url == PROJECT and focus().startswith("Default"))
    find("stacks", "stacks")
    PAGE.wait("the stacks", lambda: text_of("#middle h1").startswith("stacks"))
    press("c")
    PAGE.wait("the form", lambda: PAGE.one("form.panel .go"))
    press("by-keys")
    chord(Keys.CONTROL, Keys.ENTER)
    PAGE.wait("the stack", lambda: text_of("#middle h1").startswith("by-keys"))
    PAGE.state("active")
    find("services", "services")
    PAGE.wait("the services", lambda: text_of("#middle h1").startswith("services"))
    press("c")
    PAGE.wait("the form", lambda: PAGE.one("form.panel .go"))
    press("web")
    step_to('[data-field="stackId"] button')
    press(Keys.ENTER)
    PAGE.wait("stacks to pick", lambda: PAGE.all(".pick .item"))
    press("by-k")
    PAGE.wait("the one", lambda: [item.text.split()[0] for item in PAGE.all(".pick .item")] == ["by-keys"])
    press(Keys.ENTER)
    PAGE.wait("its id", lambda: PAGE.field("stackId").find_element(By.TAG_NAME, "input").get_attribute("value").startswith("1st"))
    step_to('[data-field="scale"] input')
    press("2")
    step_to('[data-field="imageUuid"] input')
    press("sim:web")
    step_to('[data-field="startOnCreate"] select:not(.mode)')
    press("t")
    chord(Keys.CONTROL, Keys.ENTER)
    PAGE.wait("the service", lambda: text_of("#middle h1").startswith("web"))
    PAGE.state("active")
    PAGE.wait("its containers", lambda: text_of(".sentence").startswith("2 of 2 running, web"))
    press("+", "+")
    PAGE.wait("four", lambda: text_of(".sentence").startswith("4 of 4 running"))
    press("-")
    PAGE.wait("three", lambda: text_of(".sentence").startswith("3 of 3 running"))
    find("upgrade", "upgrade web")
    PAGE.wait("the form", lambda: PAGE.one("form.panel .go"))
    press(Keys.ENTER)
    step_to('[data-field="imageUuid"] input')
    chord(Keys.CONTROL, "a")
    press("sim:web2")
    chord(Keys.CONTROL, Keys.ENTER)
    PAGE.state("upgraded")
    PAGE.wait("the new image", lambda: ", web2, " in text_of(".sentence"))
    press("a")
    step_to('[data-action="rollback"]')
    press(Keys.ENTER)
    PAGE.state("active")
    PAGE.wait("the old image", lambda: text_of(".sentence").startswith("3 of 3 running, web, "))
    press("j")
    PAGE.wait("a container", lambda: focus().startswith("by-keys-web-"))
    press(Keys.ENTER)
    PAGE.wait("its page", lambda: text_of("#middle h1").startswith("by-keys-web-"))
    press("l")
    PAGE.wait("a line of the log", lambda: text_of(".log").strip())
    step_to(".log")
    press("l")
    PAGE.wait("no log", lambda: not PAGE.all(".log"))


POINTS = [function for name, function in list(globals().items()) if name[0] == "p" and name[1:3].isdigit()]
WANTED = None if SCENARIO == "all" else SCENARIO.split(",")
FAILED = []
for point in POINTS:
    if WANTED and point.__name__[:3] not in WANTED:
        continue
    began = time.time()
    try:
        result = point()
        print(f"{point.__name__}: {time.time() - began:.1f} s{'' if result is None or isinstance(result, list) else f' {result}'}", flush=True)
    except (Exception, SystemExit):
        FAILED.append(point.__name__)
        try:
            PAGE.shoot("failed-" + point.__name__)
        except Exception:
            PAGE = Page(is_measured=True)
        print(f"{point.__name__} FAILED after {time.time() - began:.1f} s\n{traceback.format_exc()[-2500:]}", flush=True)
PAGE.close()
if FAILED:
    raise SystemExit("failed: " + ", ".join(FAILED))
