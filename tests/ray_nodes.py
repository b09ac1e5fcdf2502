"""A Ray cluster of several nodes on this machine, for tests; it ends with this process.

Spoken to in lines on standard input: ``add`` starts a node, ``kill N`` kills the Nth with all that
runs there, as when a machine loses its power. Answers ``ready ADDRESS`` first, then ``done``.
"""

from __future__ import annotations

import sys

import psutil
from ray.cluster_utils import Cluster


def main(nodes: int) -> None:
    """Serve until standard input ends."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        workers = [cluster.add_node(num_cpus=1) for _ in range(nodes)]
        cluster.wait_for_nodes()
        print(f"ready {cluster.address}", flush=True)
        for line in sys.stdin:
            what, _, number = line.strip().partition(" ")
            if what == "add":
                workers.append(cluster.add_node(num_cpus=1))
            elif what == "kill":
                kill(workers[int(number)])
            print("done", flush=True)
    finally:
        cluster.shutdown()


def kill(node: object) -> None:
    """Kill a node's raylet and every process below it, at once."""
    raylets = node.all_processes["raylet"]  # type: ignore[attr-defined]
    for info in raylets:
        raylet = psutil.Process(info.process.pid)
        for process in [raylet, *raylet.children(recursive=True)]:
            process.kill()


if __name__ == "__main__":
    main(int(sys.argv[1]))
