"""Drives services and floating IPs as the command line of Hyper did: with its requests, byte for byte, signed as it signed them.

usage: hyper_client.py PORT ACCESS SECRET IMAGE NEWER SERVICE_PORT FIP OTHER_FIP PEM

PORT is that of a server that speaks TLS on 127.0.0.1. IMAGE and NEWER serve HTTP at port 80: /who is $WHO, /hostname
the container's. FIP and OTHER_FIP are the
addresses that the server has to give away, addresses of this machine; PEM is a file with a certificate and its key. It ends at the
first surprise with a traceback.
"""

import hashlib
import hmac
import http.client
import json
import ssl
import sys
import time
import urllib.parse
import urllib.request

TIMEOUT = 120
VERSION = "/v1.23"


def digest(text):
    return hashlib.sha256(text).hexdigest()


def encode(text):
    return urllib.parse.quote(text, safe="-_.~")


class Client:
    def __init__(self, port, access, secret):
        self.host, self.access, self.secret = "127.0.0.1:%d" % port, access, secret
        self.region = "us-west-1"
        self.context = ssl._create_unverified_context()

    def sign(self, method, path, query, body, kind):
        """The headers of a request; a port that is not 80 or 443 is signed with the host."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signed = {"content-type": kind, "host": self.host, "x-hyper-content-sha256": digest(body), "x-hyper-date": stamp}
        names = ";".join(sorted(signed))
        lines = "".join("%s:%s\n" % (name, signed[name]) for name in sorted(signed))
        parts = "/".join(encode(part) for part in path.split("/") if part)
        pairs = "&".join("%s=%s" % (encode(key), encode(value)) for key, value in sorted(query))
        canonical = "\n".join([method, parts, pairs, lines, names, digest(body)])
        scope = "/".join([stamp[:8], self.region, "hyper", "hyper_request"])
        text = "\n".join(["HYPER-HMAC-SHA256", stamp, scope, digest(canonical.encode())])
        key = ("HYPER" + self.secret).encode()
        for word in [stamp[:8], self.region, "hyper", "hyper_request"]:
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        shown = "HYPER-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (self.access, scope, names, signature)
        return {"Content-Type": kind, "X-Hyper-Date": stamp, "X-Hyper-Content-Sha256": digest(body), "Authorization": shown}

    def ask(self, method, path, query=(), body=None, chunked=False):
        """A body is written as Go's encoder does; those without one are empty and chunked where the command line sent them so."""
        data = b"" if body is None else (json.dumps(body, separators=(",", ":")) + "\n").encode()
        path, query = VERSION + path, list(query)
        headers = self.sign(method, path, query, data, "text/plain" if chunked else "application/json")
        link = http.client.HTTPSConnection(self.host, context=self.context, timeout=TIMEOUT)
        link.putrequest(method, path + ("?" + urllib.parse.urlencode(query) if query else ""), skip_accept_encoding=True)
        link.putheader("User-Agent", "Hyper-Client/1.10.17 (linux)")
        for name, value in headers.items():
            link.putheader(name, value)
        if chunked:
            link.putheader("Transfer-Encoding", "chunked")
            link.endheaders()
            link.send(b"0\r\n\r\n")
        else:
            if body is not None:
                link.putheader("Content-Length", str(len(data)))
            link.endheaders(data or None)
        answer = link.getresponse()
        text = answer.read().decode()
        link.close()
        return answer.status, text

    def want(self, status, method, path, query=(), body=None, chunked=False):
        found, text = self.ask(method, path, query, body, chunked)
        assert found == status, (method, path, found, text)
        return json.loads(text) if text.strip() and found < 300 else text


def until(what, look):
    deadline = time.monotonic() + TIMEOUT
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, "waited in vain for " + what
        time.sleep(0.3)


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=5, context=ssl._create_unverified_context()) as answer:
            return answer.read().decode()
    except (OSError, http.client.HTTPException):
        return None


def settled(client, name, replicas):
    def look():
        service = client.want(200, "GET", "/services/" + name)
        is_up = service["Status"] == "active" and len(service["Containers"]) == replicas and service["IP"]
        return service if is_up and not service["Message"].startswith("Rolling update in") else None

    return until("%d of %s" % (replicas, name), look)


def pull(client, image):
    """What the command line does before it makes or updates a service."""
    status, text = client.ask("GET", "/images/%s/json" % image)
    if status == 200:
        return
    assert status == 404 and "No such image" in text, (status, text)
    name, tag = image.rsplit(":", 1)
    status, text = client.ask("POST", "/images/create", [("fromImage", name), ("tag", tag)])
    lines = [json.loads(line) for line in text.splitlines()]
    # No registry can be reached here, and the engine has the image: what it says of that is told.
    assert status == 200 and lines[0]["id"] == image and ("error" in lines[-1] or "status" in lines[-1]), text


def created(client, name, image, protocol, port, more):
    pull(client, image)
    body = {
        "Name": name, "Image": image, "WorkingDir": "", "ContainerSize": "s4", "SSLCert": "", "NetMode": "bridge",
        "StopSignal": "SIGTERM", "ServicePort": port, "ContainerPort": 80, "Replicas": 2, "HealthCheckInterval": 3,
        "HealthCheckFall": 3, "HealthCheckRise": 2, "Algorithm": "roundrobin", "Protocol": protocol, "Stdin": False, "Tty": False,
        "SessionAffinity": False, "Entrypoint": None, "Cmd": [], "Env": ["WHO=" + name], "Volumes": {}, "Labels": {"app": name},
        "SecurityGroups": {}, "IP": "", "FIP": "", "Message": "", "Status": "", "Containers": None,
    }
    made = client.want(201, "POST", "/services/create", body=dict(body, **more))
    assert made["Name"] == name and made["Message"] == "Service is created" and made["Containers"] is None, made
    return settled(client, name, 2)


def change(client, name, replicas=None, image=None, fip=None):
    return client.want(200, "POST", "/services/%s/update" % name, body={"Replicas": replicas, "Image": image, "FIP": fip})


def filters(value):
    return [("filters", json.dumps(value, separators=(",", ":")))]


def addresses(client, fip, other):
    fips = client.want(201, "POST", "/fips/allocate", [("count", "2")], chunked=True)
    assert fips == [fip, other], fips
    client.want(204, "POST", "/fips/name", [("ip", other), ("name", "spare")], chunked=True)
    listed = client.want(200, "GET", "/fips")
    assert [(one["fip"], one["name"]) for one in listed] == [(fip, ""), (other, "spare")], listed


def main():
    port, access, secret, image, newer, service_port, fip, other, pem = sys.argv[1:]
    client, service_port = Client(int(port), access, secret), int(service_port)
    assert client.want(200, "GET", "/version")["ApiVersion"] == "1.23"
    assert client.want(200, "GET", "/info")["Hosts"] == 1
    status, text = Client(int(port), access, "another secret").ask("GET", "/services")
    assert status == 401 and text.endswith("\n"), (status, text)

    made = created(client, "web", image, "http", service_port, {"SessionAffinity": True})
    assert made["Labels"] == {"app": "web"} and all(len(one) == 64 for one in made["Containers"]), made
    for one in made["Containers"]:
        container = client.want(200, "GET", "/containers/%s/json" % one[:12])
        assert container["State"]["Running"] and container["Config"]["Image"] == image, container
    assert [one["Name"] for one in client.want(200, "GET", "/services")] == ["web"]
    assert client.want(200, "GET", "/services", filters({"name": {"other": True}})) == []

    addresses(client, fip, other)
    url = "http://%s:%d/who" % (fip, service_port)
    assert fetch(url) is None
    assert change(client, "web", fip=fip)["FIP"] == fip
    until("an answer at the floating IP", lambda: "web" in (fetch(url) or ""))
    status, text = client.ask("POST", "/fips/release", [("ip", fip)], chunked=True)
    assert status == 409 and fip + " is in use" in text, (status, text)

    change(client, "web", replicas=3)
    three = settled(client, "web", 3)
    assert set(made["Containers"]) < set(three["Containers"]), (made, three)
    pull(client, newer)
    assert change(client, "web", image=newer)["Image"] == newer
    missed = 0

    def rolled():
        nonlocal missed
        missed += "web" not in (fetch(url) or "")
        return client.want(200, "GET", "/services/web")["Message"] == "Rolling update complete"

    until("the rolling update", rolled)
    assert missed == 0, "%d requests were not answered meanwhile" % missed
    after = settled(client, "web", 3)
    assert not set(after["Containers"]) & set(three["Containers"]), (three, after)

    assert client.want(200, "POST", "/fips/detach", [("container", "web")], chunked=True) == fip
    until("nobody at the floating IP", lambda: fetch(url) is None)
    client.want(204, "POST", "/fips/attach", [("ip", other), ("container", after["Containers"][0][:12])], chunked=True)
    listed = client.want(200, "GET", "/fips", filters({"dangling": ["true"]}))
    assert [one["fip"] for one in listed] == [fip], listed
    client.want(204, "DELETE", "/services/web", [("keey", "yes")])

    with open(pem) as file:
        text = file.read()
    created(client, "safe", image, "httpsTerm", service_port, {"SSLCert": text, "Algorithm": "leastconn"})
    change(client, "safe", fip=fip)
    until("an answer in TLS", lambda: "safe" in (fetch(url.replace("http:", "https:")) or ""))
    assert change(client, "safe", fip="")["FIP"] == ""
    client.want(204, "DELETE", "/services/safe", [("keey", "yes")])

    created(client, "plain", image, "tcp", service_port, {"SessionAffinity": True, "Algorithm": "source"})
    change(client, "plain", fip=fip)
    until("an answer through TCP", lambda: "plain" in (fetch(url) or ""))
    names = {fetch(url.replace("/who", "/hostname")) for _ in range(6)}
    assert len(names) == 1, "a client by its address has one container: %s" % names
    client.want(204, "DELETE", "/services/plain", [("keey", "yes")])
    until("all to be gone", lambda: client.want(200, "GET", "/containers/json") == [])
    for one in (fip, other):
        client.want(204, "POST", "/fips/release", [("ip", one)], chunked=True)
    assert client.want(200, "GET", "/fips") == []
    print("done")


main()
