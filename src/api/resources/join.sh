#!/bin/sh
# How a host joins a Drover server.
#
# Drover drives Docker Engines itself: nothing has to run on a host but Docker. So this script starts no agent. It registers
# this host, which gives it a key of its own, and says how the server is told of the Docker Engine here.
#
# It needs curl, changes nothing on this host, and may be run again.
set -eu

CATTLE_URL={url}
CATTLE_REGISTRATION_ACCESS_KEY="registrationToken"
CATTLE_REGISTRATION_SECRET_KEY={token}
CATTLE_AGENT_IMAGE={image}
CATTLE_AGENT_IP="${{CATTLE_AGENT_IP:-$(hostname -i 2>/dev/null | cut -d' ' -f1 || true)}}"
export CATTLE_URL CATTLE_REGISTRATION_ACCESS_KEY CATTLE_REGISTRATION_SECRET_KEY CATTLE_AGENT_IMAGE CATTLE_AGENT_IP

ask() {{
    curl -fsS -u "$CATTLE_REGISTRATION_ACCESS_KEY:$CATTLE_REGISTRATION_SECRET_KEY" "$@"
}}

key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "Registering $(hostname) at $CATTLE_URL"
ask -o /dev/null -d "key=$key" -d "name=$(hostname)" "$CATTLE_URL/register"

tries=0
until ask "$CATTLE_URL/register?key=$key" | grep -q '"secretKey"'; do
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
        echo "The server gave no key within a minute; look at its agents." >&2
        exit 1
    fi
    sleep 2
done

cat <<END
Registered. The agent that stands for this host waits in the state activating: no program of Rancher's is needed here,
and none would be talked to.

To have containers run on the Docker Engine of this host, run here, and keep running:

    drover agent '$CATTLE_URL/scripts/$CATTLE_REGISTRATION_SECRET_KEY'

or start the server with the address of the engine, if the server can reach it:

    drover serve --docker tcp://${{CATTLE_AGENT_IP:-<this host>}}:2376 --docker-cert-path <folder>

(Protect that port by TLS: whoever reaches it is root on this host.)
END
