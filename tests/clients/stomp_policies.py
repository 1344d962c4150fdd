#!/usr/bin/env python3
"""Policies that an operator sets while a client works, with stomp.py.

A producer sends more than its queue may hold, over one connection that stays open; the operator, who asks
another node each time, raises the limit and takes it away. Then one message expires in its queue, another
one when it is sent, and one is rejected once. The summary is one JSON object on standard output: how many
receipts had come at each step, what came from the queue, the dead letters, and what the commands said.
"""

import argparse
import json
import subprocess
import threading
import time

import stomp

QUEUE, MORTAL = "/queue/policed", "/queue/mortal"


class Listener(stomp.ConnectionListener):
    """Keeps what comes."""

    def __init__(self):
        self.came, self.receipts, self.errors = [], 0, []
        self.changed = threading.Condition()

    def on_message(self, frame):
        with self.changed:
            self.came.append(frame)
            self.changed.notify_all()

    def on_receipt(self, frame):
        with self.changed:
            self.receipts += 1
            self.changed.notify_all()

    def on_error(self, frame):
        self.errors.append(frame.headers.get("message", ""))

    def until(self, holds, within=20):
        with self.changed:
            return self.changed.wait_for(lambda: holds(self), within)


def connect(node):
    connection, listener = stomp.Connection12([node], reconnect_attempts_max=1), Listener()
    connection.set_listener("", listener)
    connection.connect(wait=True)
    return connection, listener


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", required=True, help="host:port,…")
    parser.add_argument("--program", required=True, help="the program of the commands")
    parser.add_argument("--links", required=True, help="host:port,…")
    args = parser.parse_args()
    nodes = [node.rsplit(":", 1) for node in args.nodes.split(",")]
    nodes = [(host, int(port)) for host, port in nodes]
    links, said = args.links.split(","), []

    def policy(*action):
        link = links[len(said) % len(links)]
        command = [args.program, "policy", *action, "--address", link]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        said.append({"code": result.returncode, "out": result.stdout, "err": result.stderr})

    summary = {"said": said}
    policy("set", "/queue/>", "--expired", "dead-letter", "--max-redeliveries", "0")
    policy("set", QUEUE, "--max-messages", "5")
    policy("set", QUEUE, "--max-messages", "5", "--before", "/queue/>")

    producer, told = connect(nodes[0])
    for number in range(30):
        headers = {"persistent": "true", "receipt": str(number)}
        producer.send(QUEUE, str(number), headers=headers)
    told.until(lambda it: it.receipts >= 5)
    time.sleep(1.5)
    summary["held"] = told.receipts
    policy("set", QUEUE, "--max-messages", "20")
    told.until(lambda it: it.receipts >= 20)
    time.sleep(0.5)
    summary["raised"] = told.receipts
    policy("remove", QUEUE)
    told.until(lambda it: it.receipts >= 30)
    summary["removed"] = told.receipts
    consumer, came = connect(nodes[1 % len(nodes)])
    consumer.subscribe(QUEUE, id="0", ack="auto")
    came.until(lambda it: len(it.came) >= 30)
    summary["came"] = [frame.body for frame in came.came]

    now = int(time.time() * 1000)
    for body, headers in [
        ("waited", {"expires": str(now + 1000)}),
        ("late", {"expires": str(now - 1)}),
        ("volatile", {"expires": str(now + 1000), "persistent": "false"}),
        ("bad", {}),
    ]:
        before = told.receipts
        headers = {"persistent": "true", "receipt": body, **headers}
        producer.send(MORTAL, body, headers=headers)
        told.until(lambda it: it.receipts > before)
    time.sleep(2)
    eater, eaten = connect(nodes[2 % len(nodes)])
    eater.subscribe(MORTAL, id="0", ack="client-individual")
    eaten.until(lambda it: it.came)
    summary["eaten"] = [frame.body for frame in eaten.came]
    eater.nack(eaten.came[0].headers["ack"])
    keeper, kept = connect(nodes[1 % len(nodes)])
    keeper.subscribe("/queue/DLQ.mortal", id="0", ack="auto")
    kept.until(lambda it: len(it.came) >= 3)
    time.sleep(0.5)
    summary["dead"] = {
        frame.body: {
            "from": frame.headers.get("original-destination"),
            "cause": frame.headers.get("dlqDeliveryFailureCause"),
            "expiration": frame.headers.get("originalExpiration"),
        }
        for frame in kept.came
    }
    summary["expiration"] = str(now + 1000)
    policy("list", "--json")
    policy("set", QUEUE, "--when-full", "reject")
    summary["errors"] = told.errors
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
