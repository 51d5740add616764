"""Asks the same of a real swarm and of a server, and says where the answers differ.

usage: swarm_beside.py SOCKET URL ON_PURPOSE

SOCKET is that of an engine that is a swarm of one, URL the server's, such as http://127.0.0.1:8080/docker. What is asked stands in
`swarm_requests.py`, what differs on purpose in ON_PURPOSE. It ends with status 1 if anything else differs, or if a line of ON_PURPOSE
was needed for nothing.
"""

import collections
import fnmatch
import http.client
import json
import re
import socket
import sys
import time
import urllib.parse

PATIENCE = 20
# How a line of ON_PURPOSE ends that is not needed each time.
SOMETIMES = ", sometimes"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
CONTAINER = re.compile(r"\b[0-9a-f]{64}\b")
ID = re.compile(r"\b[0-9a-z]{25}\b")
NAME = re.compile(r"<[a-z0-9._-]+>")
# What says nothing of the answer itself.
HEADERS_LEFT_OUT = {"date", "content-length", "transfer-encoding", "connection"}

Answer = collections.namedtuple("Answer", "status headers body")


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Side:
    """One of the two, and what things are called there."""

    def __init__(self, connect, prefix):
        self.connect, self.prefix, self.names = connect, prefix, {}
        self.connection = connect()

    def fill(self, what):
        """Puts this side's ids in the place of `<name>`."""
        if isinstance(what, str):
            return NAME.sub(lambda found: str(self.names.get(found[0][1:-1], found[0])), what)
        if isinstance(what, dict):
            return {key: self.fill(value) for key, value in what.items()}
        return [self.fill(one) for one in what] if isinstance(what, list) else what

    def send(self, method, path, body=None, headers=()):
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(self.fill(body))
        headers = {"Content-Type": "application/json", **dict(headers)} if body is not None else dict(headers)
        for attempt in (1, 2):
            try:
                self.connection.request(method, self.prefix + self.fill(path), body=body, headers=headers)
                answer = self.connection.getresponse()
                break
            except (http.client.HTTPException, OSError):
                # What was kept open was closed by the other end.
                self.connection = self.connect()
                if attempt == 2:
                    raise
        content = answer.read()
        try:
            content = json.loads(content)
        except ValueError:
            content = content.decode("utf-8", "replace")
        return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, content)

    def get(self, path):
        answer = self.send("GET", path)
        assert answer.status == 200, (path, answer)
        return answer.body

    def plain(self, what, key=""):
        """An answer without what no two servers have alike: ids, times, numbers of versions."""
        if isinstance(what, str):
            for name, id in sorted(self.names.items(), key=lambda pair: -len(str(pair[1]))):
                if isinstance(id, str) and len(id) > 6:
                    what = what.replace(id, f"<{name}>")
            return ID.sub("<id>", CONTAINER.sub("<container>", TIME.sub("<time>", what)))
        if isinstance(what, dict):
            return {self.plain(name): self.plain(value, name) for name, value in what.items()}
        if isinstance(what, list):
            return in_order([self.plain(one) for one in what])
        return "<number>" if key in ("Index", "PID") and isinstance(what, int) else what


def in_order(all):
    """Objects by what they are called, as lists come by ids, which are drawn."""

    def called(one):
        spec = one.get("Spec") if isinstance(one.get("Spec"), dict) else {}
        return json.dumps([spec.get("Name"), one.get("Name"), one.get("ServiceID"), one.get("Slot"), one.get("DesiredState")])

    return sorted(all, key=called) if all and all_objects(all) and is_list_of_rows(all) else all


def all_objects(all):
    return all and not [one for one in all if not isinstance(one, dict)]


def is_list_of_rows(all):
    return not [one for one in all if "ID" not in one and "Id" not in one]


class Both:
    """Asks both, and notes the differences."""

    def __init__(self, swarm, server, purposes):
        self.swarm, self.server, self.purposes = swarm, server, purposes
        self.sides = (swarm, server)
        self.asked, self.left = 0, []

    def ask(self, method, path, body=None, learn=None, headers=(), part=None, what=None, keep=None):
        """Asks both. `learn` is what the thing that is made is called from now on; of the answer only `part` is compared, or what
        `keep` keeps of a list."""
        return self.compare(what or request(method, path, body), [side.send(method, path, body, headers) for side in self.sides], learn, part, keep)

    def compare(self, what, answers, learn=None, part=None, keep=None):
        self.asked += 1
        for side, answer in zip(self.sides, answers):
            made = answer.body if isinstance(answer.body, dict) else {}
            if learn and ("ID" in made or "Id" in made):
                side.names[learn] = made.get("ID") or made["Id"]
        bodies = [answer.body for answer in answers]
        if keep and all(isinstance(body, list) for body in bodies):
            bodies = [[one for one in body if keep(one)] for body in bodies]
        if part:
            bodies = [pick(body, part) for body in bodies]
        if answers[0].status != answers[1].status:
            self.note(what, "answer", *[whole(side, answer) for side, answer in zip(self.sides, answers)])
            return answers
        found = []
        headers = [{key: value for key, value in answer.headers.items() if key not in HEADERS_LEFT_OUT} for answer in answers]
        differ("header", *headers, found)
        differ("", *[side.plain(body) for side, body in zip(self.sides, bodies)], found)
        for member, one, other in found:
            self.note(what, member or "body", one, other)
        return answers

    def note(self, what, member, one, other):
        if not self.purposes.excuse(what, member, one, other):
            self.left.append(f"{what} | {member} | {one} | {other}")

    def update(self, name, body, query="", what=None):
        """Updates a service as it is now. Swarm's own writes make a version old, so it is asked again."""
        answers = []
        for side in self.sides:
            for _ in range(20):
                index = side.get(f"/services/<{name}>")["Version"]["Index"]
                answer = side.send("POST", f"/services/<{name}>/update?version={index}{query}", body)
                if "out of sequence" not in str(answer.body):
                    break
                time.sleep(0.1)
            answers.append(answer)
        return self.compare(what or f"update {name}{query} {short(body)}", answers)

    def pause(self):
        """Lets both do what they were asked for, where nothing will tell that it is done."""
        time.sleep(1)

    def until(self, path, is_it, patience=PATIENCE):
        """Waits for both to answer so."""
        came = []
        for side in self.sides:
            deadline = time.monotonic() + patience
            while not is_it(side.get(path)) and time.monotonic() < deadline:
                time.sleep(0.1)
            now = side.get(path)
            came.append("came to be" if is_it(now) else f"in vain: {brief(now)}")
        if came[0] != came[1]:
            self.note(f"waited at {request('GET', path, None)}", "all", *came)


def whole(side, answer):
    """An answer in a line: where one refuses and the other does not, nothing within is to be compared."""
    body = side.plain(answer.body)
    said = body.get("message", "") if isinstance(body, dict) else ""
    return f"{answer.status} {said}".strip()


def pick(body, part):
    for key in part.split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return body


def short(body):
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body if isinstance(body, str) else json.dumps(body)
    return text if len(text) <= 160 else text[:157] + "..."


def request(method, path, body):
    path = urllib.parse.unquote(path)
    return f"{method} {path}" if body is None else f"{method} {path} {short(body)}"


def kind(value):
    return {dict: "object", list: "list", str: "text", bool: "truth", int: "number", float: "number", type(None): "null"}[type(value)]


def differ(member, one, other, found):
    """Where two values differ: which member, and what it is on either side."""
    if kind(one) != kind(other):
        found.append((member, brief(one), brief(other)))
    elif isinstance(one, dict):
        for key in sorted({*one, *other}):
            path = f"{member}.{key}" if member else key
            if key not in one or key not in other:
                found.append((path, brief(one[key]) if key in one else "absent", brief(other[key]) if key in other else "absent"))
            else:
                differ(path, one[key], other[key], found)
    elif isinstance(one, list):
        if len(one) != len(other):
            found.append((f"{member}[]", f"{len(one)}: {brief(one)}", f"{len(other)}: {brief(other)}"))
        for left, right in zip(one, other):
            differ(f"{member}[]", left, right, found)
    elif one != other:
        found.append((member, brief(one), brief(other)))


def brief(value):
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:197] + "..."


class Purposes:
    """What differs on purpose: request | member | swarm | server | why. A star stands for any text."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
        self.lines = [([column.strip() for column in line.split(" | ")], line) for line in lines]
        self.used = collections.Counter()
        for columns, line in self.lines:
            assert len(columns) == 5 and all(columns), f"five columns are needed: {line}"

    def excuse(self, *found):
        for columns, line in self.lines:
            if all(fits(pattern, text) for pattern, text in zip(columns, found)):
                self.used[line] += 1
                return True
        return False

    def unused(self):
        return [line for _, line in self.lines if not self.used[line] and not line.endswith(SOMETIMES)]


def fits(pattern, text):
    """Brackets and question marks stand for themselves."""
    pattern = re.sub(r"[\[?]", lambda found: f"[{found[0]}]", pattern)
    return fnmatch.fnmatchcase(text, pattern)


def main():
    socket_path, url, on_purpose = sys.argv[1:]
    at = urllib.parse.urlsplit(url)
    swarm = Side(lambda: Unix(socket_path), "")
    server = Side(lambda: http.client.HTTPConnection(at.hostname, at.port, timeout=PATIENCE), at.path)
    purposes = Purposes(on_purpose)
    both = Both(swarm, server, purposes)
    import swarm_requests

    swarm_requests.all_of_them(both)
    unused = purposes.unused()
    print(f"{both.asked} requests, {sum(purposes.used.values())} differences on purpose, {len(both.left)} others")
    if both.left:
        print("request | member | swarm | server")
        print("\n".join(both.left))
    if unused:
        print("Nothing differs here any more:")
        print("\n".join(unused))
    sys.exit(1 if both.left or unused else 0)


if __name__ == "__main__":
    main()
