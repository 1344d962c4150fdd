#!/usr/bin/env python3
"""A durable subscriber that comes and goes, with stomp.py: says what it got, and on which terms.

Each time it is connected to another node than before and than the producer. The summary is one JSON
object on standard output: what came at each visit, and the ERRORs that were answered.
"""

import argparse
import json
import threading
import time

import stomp

TOPIC = "/topic/durable.prices"
NAME = {"activemq.subscriptionName": "prices"}


class Visit(stomp.ConnectionListener):
    """One connection of the subscriber."""

    def __init__(self, node, destination=TOPIC, headers=None):
        self.got, self.errors, self.done = [], [], threading.Event()
        self.connection = stomp.Connection12([node], reconnect_attempts_max=1)
        self.connection.set_listener("", self)
        self.connection.connect(wait=True, headers={"client-id": "reader"})
        headers = {**NAME, "receipt": "subscribed", **(headers or {})}
        self.connection.subscribe(destination, id="0", ack="client-individual", headers=headers)
        self.answered()

    def on_message(self, frame):
        self.got.append(frame.body)
        self.connection.ack(frame.headers["ack"])

    def on_receipt(self, _):
        self.done.set()

    def on_error(self, frame):
        self.errors.append(frame.headers.get("message", ""))
        self.done.set()

    def answered(self):
        if not self.done.wait(20):
            self.errors.append("no answer")
        self.done.clear()

    def expect(self, count):
        deadline = time.monotonic() + 20
        while len(self.got) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)  # nothing more comes
        return self.got

    def leave(self, delete=False):
        headers = NAME if delete else {}
        self.connection.unsubscribe("0", headers={"receipt": "ended", **headers})
        self.answered()
        self.connection.disconnect()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", required=True, help="host:port,…")
    nodes = [node.rsplit(":", 1) for node in parser.parse_args().nodes.split(",")]
    nodes = [(host, int(port)) for host, port in nodes]
    node = lambda at: nodes[at % len(nodes)]

    producer = stomp.Connection12([node(0)])
    producer.connect(wait=True)

    def send(*bodies):
        for body in bodies:
            producer.send(TOPIC, body, headers={"persistent": "true", "colour": body})
        time.sleep(0.5)

    summary, errors = {}, []

    def visit(name, at, sent=(), expected=0, delete=False, **more):
        it = Visit(node(at), **more)
        send(*sent)
        summary[name] = list(it.expect(expected))
        other = Visit(node(at + 1)) if name == "second" else None
        errors.extend(it.errors + (other.errors if other else []))
        it.leave(delete)

    send("before")
    visit("first", 1, ["a", "b"], 2)
    send("c", "d")
    visit("second", 2, [], 2)
    send("lost")
    visit("selecting", 1, ["e", "f"], 1, delete=True, headers={"selector": "colour = 'f'"})
    send("g")
    visit("anew", 2, ["h"], 1)
    refused = Visit(node(1), destination="/queue/durable.prices")
    summary["refused"] = refused.errors
    summary["errors"] = errors
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
