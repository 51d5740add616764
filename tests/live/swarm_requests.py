"""What is asked of both a real swarm and a server: see `swarm_beside.py`."""

import base64
import json
import time
import urllib.parse

IMAGE, NEWER = "drover-test/web:1", "drover-test/web:2"
SECOND = 10**9


def all_of_them(both):
    for part in (system, swarm_settings, images, broken_bodies, wrong_services, good_services, lists, updates, running, nodes, secrets_and_configs, networks):
        part(both)


def filters(**wanted):
    return "filters=" + urllib.parse.quote(json.dumps(wanted))


def service(name, container=None, task=None, **more):
    """A service that runs nothing, unless it is told to."""
    template = {"ContainerSpec": {"Image": IMAGE, **(container or {})}, **(task or {})}
    return {"Name": name, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": 0}}, **more}


def system(both):
    for method, path in (
        ("GET", "/_ping"), ("HEAD", "/_ping"), ("GET", "/v1.41/_ping"), ("GET", "/v1.24/_ping"), ("POST", "/_ping"), ("GET", "/version"),
        ("GET", "/v1.41/version"), ("GET", "/swarm"), ("GET", "/nothing"), ("POST", "/nothing"), ("DELETE", "/services"), ("PUT", "/services"),
        ("PATCH", "/services/x"), ("GET", "/services/x/nothing"), ("GET", "/v1.99/services"), ("GET", "/v1.99/nothing"), ("GET", "/v1.10/services"),
        ("GET", "/v1.41"), ("GET", "/"), ("GET", "/services/"), ("GET", "//services"), ("POST", "/version"), ("DELETE", "/version"), ("GET", "/services/create"),
        ("HEAD", "/services"), ("HEAD", "/services/none"), ("HEAD", "/nodes"), ("OPTIONS", "/services"), ("GET", "/swarm/unlockkey"), ("GET", "/swarm/nothing"),
    ):
        both.ask(method, path)
    both.ask("GET", "/info", part="Swarm", what="GET /info of the swarm")
    both.ask("GET", "/info")
    for path, body in (
        ("/swarm/init", {}),
        ("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "127.0.0.1"}),
        ("/swarm/init", "{"),
        ("/swarm/join", {"RemoteAddrs": ["127.0.0.1:2377"], "JoinToken": "x"}),
        ("/swarm/unlock", {"UnlockKey": "x"}),
        ("/swarm/update", {}),
        ("/swarm/update?version=1", {}),
        ("/swarm/update?version=x", {}),
        ("/swarm/leave", None),
    ):
        both.ask("POST", path, body)


def swarm_settings(both):
    def change(what, alter, query=""):
        answers = []
        for side in both.sides:
            now = side.get("/swarm")
            spec = alter(now["Spec"])
            answers.append(side.send("POST", f"/swarm/update?version={now['Version']['Index']}{query}", spec))
        both.compare(f"the swarm is to {what}", answers)

    def look(what):
        both.ask("GET", "/swarm", part="Spec", what=f"what is set of the swarm {what}")

    change("have labels", lambda spec: {**spec, "Labels": {"a": "b"}})
    look("with labels")
    change("remember less", lambda spec: {**spec, "Orchestration": {"TaskHistoryRetentionLimit": 2}})
    look("that remembers less")
    change("be called otherwise", lambda spec: {**spec, "Name": "other"})
    change("have no name", lambda spec: {**spec, "Name": ""})
    change("have numbers for labels", lambda spec: {**spec, "Labels": {"a": 1}})
    change("rotate maybe", lambda spec: spec, "&rotateWorkerToken=bogus")
    change("rotate nothing", lambda spec: spec, "&rotateWorkerToken=False&rotateManagerToken=0")
    change("rotate its token", lambda spec: spec, "&rotateWorkerToken=true")
    change("be as at first", lambda spec: {**spec, "Labels": {}, "Orchestration": {"TaskHistoryRetentionLimit": 5}})
    look("as at first")
    change("take pictures more often", lambda spec: {**spec, "Raft": {**spec["Raft"], "SnapshotInterval": 5000}})
    change("take pictures as at first", lambda spec: {**spec, "Raft": {**spec["Raft"], "SnapshotInterval": 10000}})
    look("as at first again")
    both.ask("POST", "/swarm/update?version=99999", {})
    both.ask("POST", "/swarm/update?version=1", "{")


def images(both):
    for name in ("drover-test/web:1", "none", "none:1", "a/b/none", "localhost:5000/none", "UPPER", "sha256:0123", "0123456789ab"):
        both.ask("GET", f"/images/{name}/json")
    for wanted in ({"reference": ["drover-test/web:1"]}, {"reference": ["drover-test/w*:1"]}, {"dangling": ["true"]}, {"dangling": ["maybe"]},
                   {"colour": ["red"]}, {"since": ["none"]}, {"label": ["no=label"]}):
        both.ask("GET", "/images/json?" + filters(**wanted))
    both.ask("GET", "/images/json?filters=%7B")
    for name in ("localhost:1/a", "localhost:1/a:2", "UPPER", "a:b:c"):
        both.ask("GET", f"/distribution/{name}/json")


def broken_bodies(both):
    for body in ("", "{", "[]", "null", "3", '"x"', "{}", '{"a":1} x', '{"Name": 3}', '{"Name": null}', '{"Labels": []}', '{"Labels": {"a": 1}}',
                 '{"TaskTemplate": 1}', '{"TaskTemplate": {"ContainerSpec": {"Image": 7}}}', '{"Mode": "replicated"}',
                 '{"Mode": {"Replicated": {"Replicas": -1}}}', '{"Mode": {"Replicated": {"Replicas": 1.5}}}', '{"Mode": {"Replicated": {"Replicas": "1"}}}',
                 '{"TaskTemplate": {"ContainerSpec": {"Env": "A=1"}}}', '{"TaskTemplate": {"ContainerSpec": {"Env": [1]}}}',
                 '{"EndpointSpec": {"Ports": [{"TargetPort": 99999999999}]}}', '{"UpdateConfig": {"Delay": "1s"}}', '{"Name": "a" "b"}', "{'a': 1}", '{"bogus": 1}'):
        both.ask("POST", "/services/create", body)
    both.ask("POST", "/services/create")
    both.ask("POST", "/services/create", json.dumps(service("of-text")), headers={"Content-Type": "text/plain"}, learn="text", what="a body that says it is text")
    both.ask("DELETE", "/services/<text>")
    both.ask("POST", "/services/create", json.dumps(service("of-nothing")), headers={"Content-Type": ""}, learn="nothing", what="a body that says nothing of itself")
    both.ask("DELETE", "/services/<nothing>")
    for path in ("/secrets/create", "/configs/create", "/networks/create"):
        for body in ("", "{", "[]", "null", "{}", '{"Name": 3}', '{"Name": null}', '{"Labels": []}', '{"Labels": {"a": 1}}', '{"Data": 7}'):
            both.ask("POST", path, body)


WRONG_NAMES = ("-a", "a-", "a.b", "a b", "ä", "a" * 64, "a/b", "_a", "a_", "A_b-9", ".", "a" * 63)
WRONG_CONTAINERS = (
    {"Image": ""}, {"Image": None}, {"Image": "UPPER"}, {"Image": "a:b:c"}, {"Image": "a b"}, {"Image": "-"}, {"Image": "a@sha256:1"}, {"Image": "http://a/b"},
    {"Image": "a/"}, {"Image": "/a"}, {"Image": "a:"}, {"Image": "a//b"}, {"Image": "a_-b"}, {"Image": "a..b"}, {"Image": "host:80/a/b:c"},
    {"Image": "a:" + "b" * 129}, {"Image": "0123456789abcdef" * 4},
    {"Mounts": [{}]}, {"Mounts": [{"Type": "bogus", "Target": "/a"}]}, {"Mounts": [{"Type": "bind", "Target": "/a"}]},
    {"Mounts": [{"Type": "bind", "Source": "relative", "Target": "/a"}]}, {"Mounts": [{"Type": "volume", "Source": "v", "Target": "relative"}]},
    {"Mounts": [{"Type": "volume", "Source": "v"}]}, {"Mounts": [{"Type": "volume", "Source": "/v", "Target": "/a"}]},
    {"Mounts": [{"Type": "tmpfs", "Source": "v", "Target": "/a"}]}, {"Mounts": [{"Type": "tmpfs", "Target": "/a"}, {"Type": "volume", "Source": "v", "Target": "/a"}]},
    {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/a", "VolumeOptions": {"NoCopy": True}}]},
    {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/a", "BindOptions": {"Propagation": "rshared"}}]},
    {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/a", "BindOptions": {"Propagation": "bogus"}}]},
    {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/a", "Consistency": "bogus"}]},
    {"Mounts": [{"Type": "tmpfs", "Target": "/a", "TmpfsOptions": {"SizeBytes": -1}}]},
    {"Mounts": [{"Type": "npipe", "Source": "x", "Target": "/a"}]}, {"Mounts": [{"Type": "VOLUME", "Source": "v", "Target": "/a"}]},
    {"StopGracePeriod": -1}, {"Isolation": "bogus"}, {"Isolation": "hyperv"},
    {"Healthcheck": {"Test": ["BOGUS"]}}, {"Healthcheck": {"Test": ["CMD"], "Interval": -1}}, {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 1}},
    {"Healthcheck": {"Test": ["CMD", "true"], "Timeout": -5}}, {"Healthcheck": {"Test": ["CMD", "true"], "Retries": -5}}, {"Healthcheck": {"Test": [""]}},
    {"Healthcheck": {"Test": ["CMD", "true"], "StartPeriod": 5}},
    {"Env": ["=x"]}, {"Env": [""]}, {"Env": ["A B=1"]}, {"Hostname": "a b"}, {"Hosts": ["bogus"]}, {"Hosts": ["1.2.3 a"]},
    {"DNSConfig": {"Nameservers": ["bogus"]}}, {"CapabilityAdd": ["BOGUS"]}, {"Sysctls": {"bogus": "1"}},
    {"Ulimits": [{"Name": "bogus", "Hard": 1, "Soft": 2}]}, {"Ulimits": [{"Name": "nofile", "Hard": 1, "Soft": 2}]}, {"StopSignal": "SIGBOGUS"}, {"User": "a b c"}, {"Dir": "relative"},
    {"Secrets": [{}]}, {"Secrets": [{"SecretID": "none", "SecretName": "none"}]},
    {"Secrets": [{"SecretID": "none", "SecretName": "zzz", "File": {"Name": "a", "UID": "0", "GID": "0", "Mode": 292}}]},
    {"Groups": ["a"]}, {"Privileges": {"CredentialSpec": {"File": "x"}}},
)
WRONG_TASKS = (
    {"ContainerSpec": None}, {"Runtime": "bogus"}, {"Runtime": "plugin"}, {"Runtime": "attachment"}, {"PluginSpec": {}}, {"PluginSpec": {"Name": "a", "Remote": "b"}},
    {"RestartPolicy": {"Condition": "bogus"}},
    {"Resources": {"Limits": {"MemoryBytes": 1}}}, {"Resources": {"Limits": {"NanoCPUs": 1}}}, {"Resources": {"Limits": {"NanoCPUs": -1}}},
    {"Resources": {"Limits": {"MemoryBytes": -1}}}, {"Resources": {"Reservations": {"MemoryBytes": 1}}}, {"Resources": {"Reservations": {"NanoCPUs": 1}}},
    {"Resources": {"Limits": {"MemoryBytes": 4194303}}}, {"Resources": {"Limits": {"NanoCPUs": 999999}}}, {"Resources": {"Limits": {"Pids": -1}}},
    {"Resources": {"Limits": {"MemoryBytes": 4194304}, "Reservations": {"MemoryBytes": 8388608}}},
    {"Placement": {"Constraints": ["bogus"]}}, {"Placement": {"Constraints": ["node.role=manager"]}}, {"Placement": {"Constraints": [""]}},
    {"Placement": {"Constraints": ["node.role=="]}}, {"Placement": {"Constraints": ["== x"]}}, {"Placement": {"Constraints": ["node.bad key==x"]}},
    {"Placement": {"Constraints": ["node.labels.a==b c=="]}}, {"Placement": {"Constraints": ["node.labels.a==b!c"]}},
    {"LogDriver": {"Name": ""}}, {"LogDriver": {}}, {"Networks": [{"Target": "no-such-network"}]}, {"Networks": [{"Target": ""}]}, {"Networks": [{}]},
    {"ForceUpdate": -1},
)
WRONG_SERVICES = (
    {"Mode": {"Replicated": {}, "Global": {}}}, {"Mode": {"bogus": {}}}, {"Mode": {"Replicated": {"Replicas": 0}, "Global": None}},
    {"UpdateConfig": {"Order": "sideways"}}, {"UpdateConfig": {"FailureAction": "explode"}}, {"UpdateConfig": {"Delay": -1}}, {"UpdateConfig": {"Monitor": -1}},
    {"UpdateConfig": {"MaxFailureRatio": 2}}, {"UpdateConfig": {"MaxFailureRatio": -0.5}}, {"UpdateConfig": {"Parallelism": -1}},
    {"RollbackConfig": {"Order": "sideways"}}, {"RollbackConfig": {"FailureAction": "explode"}}, {"RollbackConfig": {"FailureAction": "rollback"}},
    {"RollbackConfig": {"Delay": -1}}, {"RollbackConfig": {"MaxFailureRatio": 2}}, {"RollbackConfig": {"Monitor": -1}},
    {"EndpointSpec": {"Mode": "bogus"}}, {"EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishedPort": 31000}]}},
    {"EndpointSpec": {"Ports": [{}]}}, {"EndpointSpec": {"Ports": [{"Protocol": "bogus", "TargetPort": 80}]}},
    {"EndpointSpec": {"Ports": [{"PublishMode": "bogus", "TargetPort": 80}]}}, {"EndpointSpec": {"Ports": [{"TargetPort": 70000}]}},
    {"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 70000}]}}, {"EndpointSpec": {"Ports": [{"TargetPort": -1}]}},
    {"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 31000}, {"TargetPort": 81, "PublishedPort": 31000}]}},
    {"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 31000, "PublishMode": "host"}, {"TargetPort": 81, "PublishedPort": 31000}]}},
    {"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 31000, "PublishMode": "host"}, {"TargetPort": 81, "PublishedPort": 31000, "PublishMode": "host"}]}},
    {"EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishedPort": 31000, "PublishMode": "host"}]}},
    {"EndpointSpec": {"Ports": [{"PublishedPort": 31000}]}}, {"Networks": [{"Target": "no-such-network"}]}, {"TaskTemplate": None}, {"TaskTemplate": {}},
)


def wrong_services(both):
    """What is taken all the same is removed again, and what became of it compared."""
    cases = [service(name) for name in WRONG_NAMES]
    cases += [service("wrong", container=container) for container in WRONG_CONTAINERS]
    cases += [service("wrong", task=task) for task in WRONG_TASKS]
    cases += [{**service("wrong"), **more} for more in WRONG_SERVICES]
    for case in cases:
        makes(both, case)


def makes(both, spec):
    """A service is made, read in both manners, and removed."""
    for side in both.sides:
        side.names.pop("made", None)
    answers = both.ask("POST", "/services/create", spec, learn="made")
    made = ["made" in side.names for side in both.sides]
    if all(made):
        for query in ("", "?insertDefaults=true"):
            both.ask("GET", f"/services/<made>{query}", what=f"read{query}: {json.dumps(spec)[:200]}", part=None)
    for side, is_made in zip(both.sides, made):
        if is_made:
            assert side.send("DELETE", "/services/<made>").status == 200
    return answers


GOOD = (
    {}, {"Mode": None}, {"Mode": {}}, {"Mode": {"Replicated": {}}}, {"Mode": {"Replicated": None}}, {"Mode": {"replicated": {"replicas": 0}}},
    {"Labels": {}}, {"Labels": None}, {"Labels": {"b": "1", "a": "", "Name": "x"}},
    {"UpdateConfig": {}}, {"UpdateConfig": {"Parallelism": 0}}, {"UpdateConfig": None},
    {"UpdateConfig": {"Parallelism": 2, "Delay": 3 * SECOND, "FailureAction": "continue", "Monitor": SECOND, "MaxFailureRatio": 0.25, "Order": "start-first"}},
    {"RollbackConfig": {}}, {"RollbackConfig": {"Parallelism": 1, "FailureAction": "pause", "Order": "stop-first", "MaxFailureRatio": 1}},
    {"EndpointSpec": {}}, {"EndpointSpec": {"Mode": "vip"}}, {"EndpointSpec": {"Mode": "dnsrr"}}, {"EndpointSpec": {"Ports": []}}, {"EndpointSpec": {"Ports": None}},
    {"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 31001}]}}, {"EndpointSpec": {"Ports": [{"TargetPort": 80}]}},
    {"EndpointSpec": {"Mode": "vip", "Ports": [{"Name": "web", "Protocol": "udp", "TargetPort": 53, "PublishedPort": 31002, "PublishMode": "host"}]}},
    {"EndpointSpec": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 31003}, {"Protocol": "udp", "TargetPort": 80, "PublishedPort": 31003}]}},
    {"bogus": 1, "TASKTEMPLATE": {"CONTAINERSPEC": {"IMAGE": IMAGE}}},
)
GOOD_CONTAINERS = (
    {"Command": ["sh"], "Args": ["-c", "true"]}, {"Command": None, "Args": None}, {"Command": [], "Args": []}, {"Command": [""]},
    {"Env": ["B=1", "A=x=y", "C="]}, {"Env": ["A=1", "A=2"]}, {"Env": []}, {"Env": None}, {"Labels": {"c": "d"}}, {"Labels": {}}, {"Labels": None},
    {"Hostname": "h1"}, {"Dir": "/data"}, {"User": "1000:1000"}, {"Groups": ["10", "20"]}, {"Init": True}, {"Init": False}, {"Init": None},
    {"StopSignal": "SIGINT"}, {"TTY": True}, {"TTY": False}, {"OpenStdin": True}, {"ReadOnly": True}, {"StopGracePeriod": 3 * SECOND}, {"StopGracePeriod": 0},
    {"StopGracePeriod": 1500000000},
    {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/b", "ReadOnly": True}, {"Type": "volume", "Source": "v", "Target": "/a"}]},
    {"Mounts": [{"Type": "volume", "Target": "/a"}]}, {"Mounts": [{"Target": "/a"}]}, {"Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 448}}]},
    {"Mounts": [{"Type": "tmpfs", "Target": "/t"}]}, {"Mounts": []}, {"Mounts": None},
    {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/a", "VolumeOptions": {"Labels": {"l": "m"}}}]},
    {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/a", "VolumeOptions": {"Labels": {"l": "m"}, "DriverConfig": {"Name": "local"}}}]},
    {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/a", "VolumeOptions": {}}]}, {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/a", "BindOptions": {}}]},
    {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/a", "BindOptions": {"Propagation": "rprivate"}}]},
    {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/a", "Consistency": "delegated"}]},
    {"Healthcheck": {}}, {"Healthcheck": None}, {"Healthcheck": {"Test": []}}, {"Healthcheck": {"Test": ["NONE"]}}, {"Healthcheck": {"Test": ["CMD", "true"]}},
    {"Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 2 * SECOND, "Timeout": SECOND, "Retries": 4, "StartPeriod": 3 * SECOND}},
    {"HealthCheck": {"Test": ["CMD-SHELL", "true"]}}, {"Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 0, "Retries": 0}},
    {"Hosts": ["10.0.0.1 db", "10.0.0.2 a b"]}, {"Hosts": []}, {"DNSConfig": {}}, {"DNSConfig": None}, {"DNSConfig": {"Nameservers": None, "Search": [], "Options": None}},
    {"DNSConfig": {"Nameservers": ["8.8.8.8"], "Search": ["example.org"], "Options": ["timeout:3"]}},
    {"Sysctls": {"net.ipv4.ip_forward": "1"}}, {"Sysctls": {}}, {"CapabilityAdd": ["CAP_NET_ADMIN"], "CapabilityDrop": ["CAP_CHOWN"]}, {"CapabilityAdd": ["NET_ADMIN"]},
    {"CapabilityAdd": ["net_admin", "CAP_SYS_TIME"], "CapabilityDrop": ["ALL"]}, {"CapabilityAdd": ["ALL"]}, {"CapabilityAdd": ["SYS_TIME", "AUDIT_WRITE"]},
    {"Ulimits": [{"Name": "nofile", "Hard": 2048, "Soft": 1024}]}, {"Isolation": "default"}, {"Isolation": ""}, {"Privileges": None}, {"Privileges": {}},
    {"Privileges": {"CredentialSpec": None, "SELinuxContext": None}},
    {"Privileges": {"SELinuxContext": {"Disable": None, "User": None, "Role": None, "Type": None, "Level": None}}}, {"bogus": {"a": 1}},
)
GOOD_TASKS = (
    {"RestartPolicy": {}}, {"RestartPolicy": {"Condition": "any"}}, {"RestartPolicy": {"Condition": "none"}}, {"RestartPolicy": None},
    {"RestartPolicy": {"Condition": "any", "Delay": 5 * SECOND, "MaxAttempts": 0, "Window": 0}}, {"RestartPolicy": {"Condition": "any", "Delay": 0}},
    {"Resources": {}}, {"Resources": None}, {"Resources": {"Limits": {}, "Reservations": {}}}, {"Resources": {"Limits": None}}, {"Resources": {"Limits": {}}},
    {"Resources": {"Limits": {"NanoCPUs": 500000000, "MemoryBytes": 67108864, "Pids": 100}, "Reservations": {"NanoCPUs": 10000000, "MemoryBytes": 33554432}}},
    {"Resources": {"Reservations": {"MemoryBytes": 33554432}}}, {"Resources": {"Limits": {"NanoCPUs": 500000000}}}, {"Resources": {"Limits": {"NanoCPUs": 123456789}}},
    {"Placement": {}}, {"Placement": None}, {"Placement": {"Constraints": []}}, {"Placement": {"Constraints": ["node.role==manager"]}},
    {"Placement": {"Constraints": ["node.role == manager", "node.labels.x!=y"]}}, {"Placement": {"Constraints": ["node.labels.a-b.c==d"]}},
    {"Placement": {"Platforms": [{"Architecture": "x86_64", "OS": "linux"}]}}, {"Placement": {"MaxReplicas": 0}}, {"Placement": {"Preferences": []}},
    {"Placement": {"Constraints": ["node.platform.os==linux"]}},
    {"LogDriver": None}, {"LogDriver": {"Name": "json-file"}}, {"LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}}},
    {"Networks": []}, {"Networks": None}, {"ForceUpdate": 0}, {"ForceUpdate": 7}, {"Runtime": ""}, {"Runtime": "container"}, {"PluginSpec": None}, {"bogus": []},
)


def good_services(both):
    for more in GOOD:
        makes(both, {**service("good"), **more})
    for container in GOOD_CONTAINERS:
        makes(both, service("good", container=container))
    for task in GOOD_TASKS:
        makes(both, service("good", task=task))
    makes(both, {"name": "lower", "tasktemplate": {"containerspec": {"image": IMAGE, "args": ["x"], "labels": {"Keep": "x"}}}, "mode": {"replicated": {"replicas": 0}}})
    both.ask("POST", "/networks/create", {"Name": "good-net", "Driver": "overlay"}, learn="good-net")
    for target in ("good-net", "<good-net>"):
        makes(both, service("good", task={"Networks": [{"Target": target}]}))
        makes(both, service("good", Networks=[{"Target": target}]))
    both.ask("DELETE", "/networks/<good-net>")
    both.ask("POST", "/secrets/create", {"Name": "good-secret", "Data": "eA=="}, learn="good-secret")
    file = {"Name": "a", "UID": "0", "GID": "0", "Mode": 292}
    for secret in ({"SecretID": "<good-secret>", "SecretName": "good-secret", "File": file}, {"SecretID": "<good-secret>", "SecretName": "other", "File": file},
                   {"SecretID": "<good-secret>", "SecretName": "good-secret"}, {"SecretID": "<good-secret>", "File": file},
                   {"SecretName": "good-secret", "File": file}, {"SecretID": "good-secret", "SecretName": "good-secret", "File": file},
                   {"SecretID": "<good-secret>", "SecretName": "good-secret", "File": {**file, "Name": ""}},
                   {"SecretID": "<good-secret>", "SecretName": "good-secret", "File": {"Name": "a"}}):
        makes(both, service("good", container={"Secrets": [secret]}))
    one = {"SecretID": "<good-secret>", "SecretName": "good-secret", "File": file}
    makes(both, service("good", container={"Secrets": [one, one]}))
    both.ask("DELETE", "/secrets/<good-secret>")


def lists(both):
    both.ask("POST", "/services/create", service("list-a", Labels={"a": "1", "b": "2"}), learn="list-a")
    both.ask("POST", "/services/create", service("list-b", container={"Labels": {"c": "3"}}, Labels={"a": "2"}), learn="list-b")
    both.ask("POST", "/services/create", {**service("list-c", task={"Placement": {"Constraints": ["node.labels.none==such"]}}), "Mode": {"Global": {}}}, learn="list-c")
    both.ask("POST", "/services/create", service("list-a"))
    both.ask("POST", "/services/create", service("LIST-A"))
    for wanted in (
        {}, {"name": ["list-a"]}, {"name": {"list-": True}}, {"name": ["LIST-a"]}, {"name": ["ist"]}, {"name": ["list-a", "list-b"]}, {"name": []}, {"name": [""]}, {"name": {"list-a": False}},
        {"label": ["a"]}, {"label": ["a=1"]}, {"label": ["a=1", "b=2"]}, {"label": ["a", "c"]}, {"label": ["a="]}, {"label": [""]}, {"label": ["=1"]},
        {"label": {"a=1": True}}, {"mode": ["global"]}, {"mode": ["replicated"]}, {"mode": ["bogus"]}, {"mode": ["replicated-job"]}, {"mode": ["global", "replicated"]},
        {"runtime": ["container"]}, {"runtime": ["bogus"]}, {"colour": ["red"]}, {"Name": ["list-a"]}, {"name": "list-a"}, {"name": 3}, {"name": None}, {"name": [1]}, {"id": [""]}, {"id": ["none"]},
        {"name": ["list-a"], "label": ["a=2"]}, {"label!": ["a"]}, {"desired-state": ["running"]}, {"name": {"list-a": 1}},
    ):
        for status in ("", "&status=true"):
            both.ask("GET", f"/services?{filters(**wanted)}{status}")
    for query in ("filters=", "filters=x", "filters=[]", "filters=null", "filters={", "filters=3", "status=bogus", "status=", "status=1", "status=TRUE", "insertDefaults=1", "insertDefaults=bogus",
                  "insertDefaults=", "bogus=1", "status=false&insertDefaults=false", "filters=%7B%7D&filters=x", "filters={}x"):
        both.ask("GET", f"/services?{query}")
    for path in ("/services/<list-a>", "/services/list-a", "/services/LIST-A", "/services/list", "/services/none", "/services/list-a?insertDefaults=bogus", "/services/list-a?insertDefaults=1",
                 "/services/list-a?insertDefaults=", "/services/%20", "/services/a%2Fb", "/v1.24/services/list-a", "/v1.29/services/list-a", "/v1.40/services/list-a",
                 "/services/list-a?status=true", "/v1.24/services", "/v1.40/services?status=true"):
        both.ask("GET", path)
    both.ask("HEAD", "/services/<list-a>")
    for side in both.sides:
        side.names["begun"] = side.names["list-a"][:12]
    both.ask("GET", "/services/<begun>", what="a service by how its id begins")
    both.ask("GET", "/services?" + filters(id=["BEGUN"]).replace("BEGUN", "<begun>"), what="services by how an id begins")
    both.ask("GET", "/services?" + filters(id=["ID"]).replace("ID", "<list-a>"), what="services by an id")
    for name in ("list-a", "<list-b>", "list-c", "list-c", "none"):
        both.ask("DELETE", f"/services/{name}")


def updates(both):
    """Of services that run nothing: what is kept, and what is refused."""
    both.ask("POST", "/services/create", service("up"), learn="up")
    both.ask("POST", "/services/create", service("other", EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 31010}]}), learn="other")
    for query in ("", "?version=", "?version=x", "?version=-1", "?version=99999999", "?version=0", "?version=1.5", "?version=99999998&version=2", "?version=99999999999999999999", "?Version=1"):
        both.ask("POST", f"/services/<up>/update{query}", service("up"))
    both.ask("POST", "/services/none/update?version=1", service("up"))
    both.ask("POST", "/services/none/update?version=x", service("up"))
    for body in ("", "{", "null", "[]"):
        both.ask("POST", "/services/<up>/update?version=1", body)
    read = lambda what, name="up": both.ask("GET", f"/services/<{name}>", what=f"read after {what}")
    both.update("up", service("up"), "&rollback=previous", what="rollback without a previous one")
    both.update("up", service("up", Labels={"l": "m"}), what="labels are changed")
    read("labels are changed")
    both.update("up", service("up", Labels={"l": "m"}), what="nothing is changed")
    read("nothing is changed")
    both.update("up", {"Name": "up", "TaskTemplate": {"ContainerSpec": {"Image": IMAGE}}, "Mode": {"Replicated": {"Replicas": 0}}}, what="without labels")
    read("without labels")
    both.update("up", service("up", container={"Image": NEWER}), what="another image")
    both.pause()
    read("another image")
    both.update("up", service("up", container={"Image": NEWER}), "&rollback=bogus", what="a rollback to nowhere")
    both.update("up", {}, "&rollback=previous", what="a rollback by nothing")
    both.update("up", service("up", container={"Image": NEWER}), "&rollback=previous", what="a rollback")
    both.pause()
    read("a rollback")
    both.update("up", service("up"), "&rollback=", what="a rollback of no name")
    read("a rollback of no name")
    for query in ("&registryAuthFrom=spec", "&registryAuthFrom=previous-spec", "&registryAuthFrom=bogus", "&registryAuthFrom="):
        both.update("up", service("up"), query)
    both.update("up", service("renamed"), what="another name")
    both.update("up", service(""), what="no name")
    both.update("up", {"Name": "up", "TaskTemplate": {"ContainerSpec": {"Image": IMAGE}}, "Mode": {"Global": {}}}, what="another mode")
    both.update("up", {"Name": "up"}, what="no task")
    both.update("up", service("up", container={"Image": "UPPER"}), what="a wrong image")
    both.update("up", service("up", UpdateConfig={"Order": "sideways"}), what="a wrong order")
    both.update("up", service("up", EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 31010}]}), what="a port of another one")
    both.update("up", service("up", task={"Networks": [{"Target": "no-net"}]}), what="a network that is not there")
    both.update("up", service("up", container={"Secrets": [{"SecretID": "x", "SecretName": "none", "File": {"Name": "a", "UID": "0", "GID": "0", "Mode": 292}}]}), what="a secret that is not there")
    both.update("up", service("up", EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 31011}]}), what="a port")
    read("a port")
    both.update("up", service("up", task={"ForceUpdate": 3}), what="forced")
    read("forced")
    both.update("up", service("up", UpdateConfig={"Parallelism": 2}, RollbackConfig={"Parallelism": 3}), what="policies")
    read("policies")
    both.update("up", {"Name": "up", "TaskTemplate": {"ContainerSpec": {"Image": IMAGE}}, "Mode": {"Replicated": {}}, "EndpointSpec": {"Mode": "vip"}}, what="no number of replicas")
    read("no number of replicas")
    both.ask("POST", "/services/<up>/update?version=1", service("up"), headers={"X-Registry-Auth": "e30="}, what="an old version with credentials")
    both.ask("POST", "/services/create", service("third", EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 31010}]}))
    both.ask("POST", "/services/create", service("third", EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 31010, "PublishMode": "host"}]}))
    for name in ("up", "other"):
        both.ask("DELETE", f"/services/<{name}>")
    both.ask("POST", "/services/create", service("auth"), headers={"X-Registry-Auth": "bogus!"}, learn="auth", what="credentials that are none")
    both.ask("DELETE", "/services/<auth>")


def states(tasks):
    return sorted((task.get("Slot", 0), task["DesiredState"], task["Status"]["State"]) for task in tasks)


def running(both):
    """Containers."""
    script = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
    spec = service("run", container={"Args": ["sh", "-c", script], "Labels": {"c": "d"}, "StopGracePeriod": 2 * SECOND}, Labels={"l": "m"}, UpdateConfig={"Parallelism": 0, "Monitor": SECOND // 2})
    spec["Mode"]["Replicated"]["Replicas"] = 2
    both.ask("POST", "/services/create", spec, learn="run")
    by_service = "/tasks?" + filters(service=["run"])
    both.until(by_service, lambda tasks: states(tasks) == [(slot, "running", "running") for slot in (1, 2)])
    for side in both.sides:
        for task in side.get(by_service):
            side.names[f"task-{task['Slot']}"] = task["ID"]
            side.names[f"container-{task['Slot']}"] = task["Status"]["ContainerStatus"]["ContainerID"]
        side.names["node"] = side.get("/nodes")[0]["ID"]
        side.names["hostname"] = side.get("/nodes")[0]["Description"]["Hostname"]
        side.names["begun"] = side.names["task-1"][:14]
    for path in (by_service, "/tasks/<task-1>", "/tasks/<begun>", "/tasks/run.1", "/tasks/none", "/tasks/", "/tasks"):
        both.ask("GET", path)
    for wanted in (
        {"service": ["<run>"]}, {"service": {"run": True}}, {"service": ["RUN"]}, {"service": ["none"]}, {"service": ["ru"]}, {"service": []}, {"name": ["run.1"]}, {"name": ["run"]}, {"name": ["un.1"]}, {"name": ["RUN.1"]},
        {"name": ["none"]}, {"id": ["<task-1>"]}, {"id": ["<begun>"]}, {"id": ["none"]}, {"node": ["<node>"]}, {"node": ["<hostname>"]}, {"node": ["self"]}, {"node": ["none"]}, {"label": ["c"]}, {"label": ["l"]}, {"label": ["c=d"]}, {"label": ["c=e"]},
        {"desired-state": ["running"]}, {"desired-state": ["shutdown"]}, {"desired-state": ["accepted"]}, {"desired-state": ["bogus"]}, {"desired-state": ["RUNNING"]}, {"desired-state": ["ready"]}, {"_up-to-date": ["true"]}, {"_up-to-date": ["false"]},
        {"_up-to-date": ["bogus"]}, {"runtime": ["container"]}, {"runtime": ["bogus"]}, {"colour": ["red"]}, {"state": ["running"]}, {"service": ["run"], "desired-state": ["running"], "node": ["self"]},
    ):
        both.ask("GET", "/tasks?" + ask_filters(wanted))
    for query in ("filters=x", "filters=[]", "filters=", "bogus=1"):
        both.ask("GET", f"/tasks?{query}")
    both.ask("GET", "/services?status=true")
    both.ask("GET", "/services/<run>")
    spec["Mode"]["Replicated"]["Replicas"] = 1
    both.update("run", spec, what="scaled down")
    both.until(by_service, lambda tasks: [task["Status"]["State"] for task in tasks if task["DesiredState"] == "running"] == ["running"] and not dying(tasks))
    both.ask("GET", "/services/<run>", what="read after scaled down")
    both.ask("GET", "/services?status=true", what="services after scaled down")
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = NEWER
    both.update("run", spec, what="another image of what runs")
    completed = lambda now: now.get("UpdateStatus", {}).get("State") == "completed"
    both.until("/services/<run>", completed)
    both.until(by_service, lambda tasks: not dying(tasks))
    both.ask("GET", "/services/<run>", what="read after another image of what runs")
    both.ask("GET", by_service, what="tasks after another image of what runs")
    both.ask("GET", "/tasks?" + filters(service=["run"], **{"desired-state": ["shutdown"]}), what="tasks that were")
    both.ask("GET", "/tasks?" + filters(service=["run"], **{"_up-to-date": ["true"]}), what="tasks of what is now")
    both.update("run", {**spec, "Labels": {"l": "n"}}, what="labels after an update")
    both.ask("GET", "/services/<run>", what="read after labels after an update")
    both.update("run", spec, what="labels as before")
    failing(both, spec, by_service)
    both.ask("DELETE", "/services/<run>")
    both.ask("GET", "/services/<run>")
    both.ask("GET", by_service, what="tasks of what was removed")
    worldwide(both, script)
    ending(both)


def dying(tasks):
    return [task for task in tasks if task["DesiredState"] != "running" and task["Status"]["State"] == "running"]


def failing(both, spec, by_service):
    """An update that fails goes back by itself."""
    broken = json.loads(json.dumps(spec))
    broken["TaskTemplate"]["ContainerSpec"]["Args"] = ["sh", "-c", "exit 3"]
    broken["UpdateConfig"] = {"Parallelism": 1, "FailureAction": "rollback", "Monitor": 2 * SECOND}
    both.update("run", broken, what="an update that fails")
    both.until("/services/<run>", lambda now: now["UpdateStatus"]["State"] == "rollback_completed")
    both.until(by_service, lambda tasks: not dying(tasks))
    both.ask("GET", "/services/<run>", what="read after an update that failed")
    both.update("run", spec, what="as before")
    both.pause()
    both.ask("GET", "/services/<run>", what="read after as before")


def worldwide(both, script):
    spec = service("each", container={"Args": ["sh", "-c", script]})
    spec["Mode"] = {"Global": {}}
    both.ask("POST", "/services/create", spec, learn="each")
    by_service = "/tasks?" + filters(service=["each"])
    both.until(by_service, lambda tasks: [task["Status"]["State"] for task in tasks] == ["running"])
    both.ask("GET", by_service)
    both.ask("GET", "/services?status=true&" + filters(name=["each"]))
    both.ask("GET", "/tasks?" + ask_filters({"name": ["each.<node>"]}), what="a task of each node by its name")
    both.ask("DELETE", "/services/each")


def ending(both):
    """What ends by itself, and what never comes to run."""
    once = service("once", container={"Args": ["sh", "-c", "exit 0"]}, task={"RestartPolicy": {"Condition": "none"}}, Mode={"Replicated": {"Replicas": 1}})
    fails = service("fails", container={"Args": ["sh", "-c", "exit 5"]}, task={"RestartPolicy": {"Condition": "none"}}, Mode={"Replicated": {"Replicas": 1}})
    nowhere = service("nowhere", task={"Placement": {"Constraints": ["node.labels.none==such"]}}, Mode={"Replicated": {"Replicas": 1}})
    for spec, ends in ((once, ("complete", "shutdown")), (fails, ("failed", "shutdown")), (nowhere, ("pending",))):
        name = spec["Name"]
        both.ask("POST", "/services/create", spec, learn=name)
        by_service = "/tasks?" + filters(service=[name])
        # What cannot be placed says why.
        ended = lambda task, ends=ends: task["Status"]["State"] in ends and ("pending" not in ends or task["Status"].get("Err"))
        both.until(by_service, lambda tasks, ended=ended: len(tasks) == 1 and ended(tasks[0]))
        both.ask("GET", by_service)
        both.ask("GET", "/services?status=true&" + filters(name=[name]))
        both.ask("DELETE", f"/services/{name}")


def ask_filters(wanted):
    """Filters in which names of things stand."""
    return filters(**wanted).replace("%3C", "<").replace("%3E", ">")


def nodes(both):
    for side in both.sides:
        node = side.get("/nodes")[0]
        side.names["node"], side.names["hostname"] = node["ID"], node["Description"]["Hostname"]
        side.names["begun"] = node["ID"][:10]
    for path in ("/nodes", "/nodes/<node>", "/nodes/self", "/nodes/<hostname>", "/nodes/<begun>", "/nodes/none"):
        both.ask("GET", path)
    for wanted in ({"id": ["<node>"]}, {"id": ["none"]}, {"name": ["<hostname>"]}, {"name": ["none"]}, {"role": ["manager"]}, {"role": ["worker"]}, {"role": ["bogus"]}, {"membership": ["accepted"]},
                   {"membership": ["pending"]}, {"membership": ["bogus"]}, {"label": ["a"]}, {"node.label": ["a"]}, {"engine.label": ["a"]}, {"colour": ["red"]}, {"role": ["MANAGER"]}):
        both.ask("GET", "/nodes?" + ask_filters(wanted))
    both.ask("GET", "/nodes?filters=x")
    for path, body in (("/nodes/<node>/update", {}), ("/nodes/<node>/update?version=x", {}), ("/nodes/<node>/update?version=99999", {}), ("/nodes/none/update?version=1", {}),
                       ("/nodes/<node>/update?version=1", "{"), ("/nodes/<node>/update?version=1", "")):
        both.ask("POST", path, body)
    for body in ({"Role": "bogus", "Availability": "active"}, {"Role": "manager", "Availability": "bogus"}, {"Role": "worker", "Availability": "active"}, {"Availability": "active"},
                 {"Role": "manager"}, {"Role": "manager", "Availability": "active", "Labels": {"a": "b"}}, {"Role": "manager", "Availability": "pause", "Labels": {"a": "b"}, "Name": "n"},
                 {"Role": "manager", "Availability": "drain"}, {"Role": "manager", "Availability": "pause"}, {"Role": "manager", "Availability": "drain"}, {"role": "manager", "availability": "active", "labels": None}):
        change_node(both, body)
    for path in ("/nodes/none", "/nodes/<node>", "/nodes/none?force=1"):
        both.ask("DELETE", path)


def change_node(both, body):
    answers = []
    for side in both.sides:
        for _ in range(50):
            index = side.get("/nodes/<node>")["Version"]["Index"]
            answer = side.send("POST", f"/nodes/<node>/update?version={index}", body)
            if "out of sequence" not in str(answer.body):
                break
            time.sleep(0.1)
        answers.append(answer)
    both.compare(f"a node is to be {json.dumps(body)}", answers)
    wanted = body.get("Availability") or body.get("availability")
    if answers[0].status == 200 and wanted:
        both.until("/nodes/<node>", lambda node: node["Spec"]["Availability"] == wanted)
    both.ask("GET", "/nodes/<node>", what=f"a node after {json.dumps(body)}")


def secrets_and_configs(both):
    for root in ("secrets", "configs"):
        one = root[:-1]
        for body in ({"Name": "", "Data": "eA=="}, {"Name": "a b", "Data": "eA=="}, {"Name": "-a", "Data": "eA=="}, {"Name": "a" * 65, "Data": "eA=="}, {"Name": "x"}, {"Name": "x", "Data": ""}, {"Name": "x", "Data": None},
                     {"Name": "x", "Data": "!"}, {"Name": "x", "Data": "eA"}, {"Name": "x", "Data": base64.b64encode(b"x" * (500 * 1024 + 1)).decode()} if one == "secret" else {"Name": "x", "Data": 3},
                     {"Name": "x", "Data": "eA==", "Templating": {"Name": "golang"}}, {"Name": "x", "Data": "eA==", "Labels": {"a": 1}}, {"Name": "x", "Data": "eA==", "Templating": {"Name": "bogus"}}):
            answers = both.ask("POST", f"/{root}/create", body, learn="taken")
            for side, answer in zip(both.sides, answers):
                if answer.status == 201:
                    side.send("DELETE", f"/{root}/<taken>")
        both.ask("POST", f"/{root}/create", {"Name": "thing-a", "Data": "eA==", "Labels": {"a": "1", "b": ""}}, learn="thing-a")
        both.ask("POST", f"/{root}/create", {"name": "thing-b", "data": "eQ==", "labels": None}, learn="thing-b")
        both.ask("POST", f"/{root}/create", {"Name": "thing-a", "Data": "eQ=="})
        both.ask("POST", f"/{root}/create", {"Name": "THING-A", "Data": "eQ=="})
        both.ask("POST", f"/{root}/create", {"Name": "thing.c_d-e", "Data": "eQ=="}, learn="thing-c")
        for path in ("", "/<thing-a>", "/thing-a", "/THING-A", "/<thing-b>", "/<thing-c>", "/none", "/thing", "/create"):
            both.ask("GET", f"/{root}{path}")
        for wanted in ({"name": ["thing-a"]}, {"name": ["thing"]}, {"name": ["hing"]}, {"names": ["thing-a"]}, {"names": ["thing"]}, {"id": ["<thing-a>"]}, {"id": ["none"]}, {"label": ["a"]}, {"label": ["a=1"]}, {"label": ["a=2"]},
                       {"label": ["b="]}, {"label": ["a", "b"]}, {"colour": ["red"]}, {"name": ["thing-a", "thing-b"]}):
            both.ask("GET", f"/{root}?" + ask_filters(wanted))
        both.ask("GET", f"/{root}?filters=x")
        for query in ("", "?version=x", "?version=99999"):
            both.ask("POST", f"/{root}/<thing-a>/update{query}", {"Name": "thing-a", "Labels": {}})
        both.ask("POST", f"/{root}/none/update?version=1", {"Name": "thing-a", "Labels": {}})
        for body in ({"Name": "thing-a", "Labels": {"c": "d"}}, {"Labels": {"e": "f"}}, {"Name": "thing-a"}, {"Name": "thing-a", "Data": "eA==", "Labels": {"g": "h"}}, {"Name": "thing-a", "Data": "eQ=="}, {"Name": "renamed"}, {}, "null", "{", {"Labels": {"a": 1}}):
            answers = []
            for side in both.sides:
                index = side.get(f"/{root}/<thing-a>")["Version"]["Index"]
                answers.append(side.send("POST", f"/{root}/<thing-a>/update?version={index}", body))
            both.compare(f"a {one} is to be {json.dumps(body)}", answers)
            both.ask("GET", f"/{root}/<thing-a>", what=f"a {one} after {json.dumps(body)}")
        if one == "secret":
            file = {"Name": "a", "UID": "0", "GID": "0", "Mode": 292}
            both.ask("POST", "/services/create", service("uses", container={"Secrets": [{"SecretID": "<thing-a>", "SecretName": "thing-a", "File": file}]}), learn="uses")
            both.ask("DELETE", "/secrets/<thing-a>")
            both.ask("DELETE", "/services/<uses>")
        for name in ("none", "thing-a", "<thing-b>", "<thing-c>", "thing-a"):
            both.ask("DELETE", f"/{root}/{name}")
        both.ask("PUT", f"/{root}/create", {})
        both.ask("POST", f"/{root}")


def networks(both):
    ours = lambda one: one["Name"].startswith("net-")
    for body in ({"Name": ""}, {"Name": "a b", "Driver": "overlay"}, {"Name": "net-x", "Driver": "overlay", "Labels": {"a": 1}}, {"Name": "ingress", "Driver": "overlay"}, {"Name": "-", "Driver": "overlay"}):
        answers = both.ask("POST", "/networks/create", body, learn="taken")
        for side, answer in zip(both.sides, answers):
            if answer.status == 201:
                side.send("DELETE", "/networks/<taken>")
    both.ask("POST", "/networks/create", {"Name": "net-a", "Driver": "overlay", "Labels": {"a": "1"}, "CheckDuplicate": True}, learn="net-a")
    both.ask("POST", "/networks/create", {"name": "net-b", "driver": "overlay", "attachable": True, "options": None}, learn="net-b")
    both.ask("POST", "/networks/create", {"Name": "net-a", "Driver": "overlay"})
    both.ask("POST", "/networks/create", {"Name": "NET-A", "Driver": "overlay"}, learn="net-upper")
    for side in both.sides:
        side.send("DELETE", "/networks/<net-upper>")
    both.ask("GET", "/networks", keep=ours)
    both.ask("GET", "/networks", keep=lambda one: one["Name"] == "ingress", what="networks called ingress")
    for path in ("/networks/<net-a>", "/networks/net-a", "/networks/<net-b>", "/networks/none", "/networks/net-a?scope=swarm", "/networks/net-a?scope=local", "/networks/net-a?verbose=true", "/networks/net", "/networks/ingress", "/networks/create"):
        both.ask("GET", path)
    for wanted in ({"name": ["net-a"]}, {"name": ["net"]}, {"name": ["et-a"]}, {"id": ["<net-a>"]}, {"label": ["a"]}, {"label": ["a=2"]}, {"driver": ["overlay"]}, {"driver": ["bogus"]}, {"scope": ["swarm"]}, {"scope": ["local"]}, {"scope": ["bogus"]},
                   {"type": ["custom"]}, {"type": ["builtin"]}, {"type": ["bogus"]}, {"colour": ["red"]}, {"dangling": ["true"]}, {"dangling": ["bogus"]}):
        both.ask("GET", "/networks?" + ask_filters(wanted), keep=ours)
    both.ask("GET", "/networks?filters=x")
    both.ask("POST", "/services/create", service("on-net", task={"Networks": [{"Target": "net-a"}]}), learn="on-net")
    both.ask("GET", "/services/<on-net>")
    both.ask("DELETE", "/networks/<net-a>")
    both.ask("DELETE", "/services/<on-net>")
    for name in ("<net-a>", "net-b", "none", "net-b"):
        both.ask("DELETE", f"/networks/{name}")
    both.ask("DELETE", "/networks/ingress2")
