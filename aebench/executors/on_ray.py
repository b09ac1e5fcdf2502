"""Ray executor: jobs on the nodes of a Ray cluster, records back in the results folder of the run.

Ray finds the nodes, holds their cores and GPUs for us, carries data and messages, and notices when
one is gone; which job is next and what its end means is decided by `pool`, as for a run on one
machine. So no file system has to be shared, and a run stops and resumes as any other.

Ray itself: https://docs.ray.io
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aebench
from aebench import datasets
from aebench.datasets import shipping
from aebench.disk import write_whole
from aebench.errors import RequestError
from aebench.executors import Listener, RunOptions, pool
from aebench.executors.on_node import Node
from aebench.executors.processes import ForeignCode
from aebench.executors.ray_cluster import Cluster, first_line
from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Row, Store, files

_ANSWER_S = 30.0  # for a node to end a worker, which takes it some seconds at most
_THREADS = 8  # of a node's actor: it listens to up to three workers while it is asked for more


def run(jobs: Sequence[Job], store: Store, options: RunOptions, listener: Listener) -> bool:
    """Run `jobs` on the cluster that `options.on` names, as `local.run` does on this machine.

    A node that comes later is used too; a job whose node is lost is run on another.

    Raises:
        RequestError: as for `local.run`; or there is no such cluster; or no node of it has what a
            job is to hold.
    """
    store = Store(store.path.absolute())
    with Cluster(options.on.partition("=")[2]) as cluster:
        crew = _Crew(jobs, store, options, cluster)
        places = crew.first()
        nodes = Counter(place.name for place in places)
        listener.placed(
            f"{'a Ray cluster started here' if cluster.started else 'Ray cluster'}:"
            f" {len(places)} job{'s' * (len(places) > 1)} at a time, on "
            + ", ".join(f"{name} ({count})" for name, count in sorted(nodes.items()))
        )
        return pool.run(jobs, store, options, listener, places, crew.joined)


class _Crew:
    """The places of a run on a cluster."""

    def __init__(
        self, jobs: Sequence[Job], store: Store, options: RunOptions, cluster: Cluster
    ) -> None:
        self.cluster, self.store = cluster, store
        gpus = options.gpus_per_job
        if gpus is None:
            gpus = int(any(job.device == "cuda" for job in jobs))
        self.share = _Share(options.cpus_per_job, gpus)
        self.room = min(options.workers or len(jobs), len(jobs))
        self.threads = options.threads
        self.seen: set[str] = set()
        put = cluster.ray.put
        self.parcels = []
        for name in sorted({job.dataset for job in jobs}):
            if folder := datasets.cached_folder(name, options.data):
                parcel, content = shipping.pack(folder)
                self.parcels.append((parcel, put(content)))
        self.plugins = {file: Path(file).read_bytes() for file in options.plugins}

    def first(self) -> list[_Place]:
        """The places that there are.

        Raises:
            RequestError: there is none.
        """
        if places := self.joined():
            return places
        has = "; ".join(
            f"{node['NodeManagerHostname']} {_count(node, 'CPU')} and {_count(node, 'GPU')}"
            for node in self.cluster.nodes()
        )
        raise RequestError(
            f"no node has room for a job of {self.share.cpus or 1} CPUs and"
            f" {self.share.gpus} GPUs; CPUs and GPUs of the nodes: {has}"
        )

    def joined(self) -> list[_Place]:
        """A place for each share of each node that was not there before, as far as asked for."""
        nodes = self.cluster.nodes()
        fresh = [node for node in nodes if node["NodeID"] not in self.seen]
        self.seen |= {node["NodeID"] for node in fresh}
        # Nodes may be on one machine, and jobs on it then share it.
        held = Counter[str]()
        for node in nodes:
            held[node["NodeManagerHostname"]] += self.share.times(node)
        places: list[_Place] = []
        for node in fresh:
            for _ in range(min(self.share.times(node), self.room)):
                places.append(_Place(self, node, held[node["NodeManagerHostname"]]))
                self.room -= 1
        return places


def _count(node: dict[str, Any], what: str) -> int:
    return int(node["Resources"].get(what, 0))


@dataclass(frozen=True)
class _Share:
    """What one job holds of a node: `cpus`, None for as many as its part, and `gpus`."""

    cpus: int | None
    gpus: int

    def cores(self, node: dict[str, Any]) -> int:
        """How many cores of the node: by default all, or an equal part beside other GPUs."""
        if self.cpus is not None:
            return self.cpus
        others = _count(node, "GPU") // self.gpus if self.gpus else 1
        return max(1, _count(node, "CPU") // max(1, others))

    def times(self, node: dict[str, Any]) -> int:
        """How many jobs the node takes at a time."""
        by_cores = _count(node, "CPU") // self.cores(node)
        return min(by_cores, _count(node, "GPU") // self.gpus) if self.gpus else by_cores


class _Place:
    """A part of a node, held for one job at a time."""

    data: Path | None = None  # each node has its own

    def __init__(self, crew: _Crew, node: dict[str, Any], on_machine: int) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._results = crew.cluster.ray, crew.store.path
        self.name = node["NodeManagerHostname"]
        cpus = crew.share.cores(node)
        self.threads, self.concurrent = crew.threads or cpus, on_machine > 1
        actor = self._ray.remote(Node).options(
            num_cpus=cpus,
            num_gpus=crew.share.gpus,
            max_concurrency=_THREADS,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        )
        self._node = actor.remote(aebench.__version__, self._ray.get)
        self._ready = self._node.prepare.remote(crew.parcels, crew.plugins)
        self._row: Row | None = None

    def start(self, forks: bool, news: threading.Event) -> Worker:
        """Start a worker on the node."""
        return Worker(self, forks, news)

    def prepared(self) -> None:
        """Wait until the node has data and plugins.

        Raises:
            RequestError: it cannot have them.
            ray.exceptions.RayActorError: the node is gone.
        """
        if self._row is None:
            try:
                self._row = self._ray.get(self._ready)
            except self._ray.exceptions.RayTaskError as error:
                raise RequestError(str(error.cause)) from error

    def describe(self) -> Row:
        """What records say of the node's machine; nothing, if it never answered."""
        return self._row or {}

    def others(self) -> int:
        """Not known from here; whoever trains there tells it in a record of his own."""
        return 0

    def leave(self) -> None:
        """Give the part of the node back to the cluster."""
        with contextlib.suppress(Exception):  # whatever Ray says of a node that is gone
            self._ray.get(self._node.leave.remote(), timeout=_ANSWER_S)
        with contextlib.suppress(Exception):
            self._ray.kill(self._node)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the node's, and give Ray's reference of its answer."""
        return getattr(self._node, method).remote(*arguments)

    def answer(self, reference: Any, timeout_s: float | None = None) -> Any:
        """Wait for an answer.

        Raises:
            ray.exceptions.RayError: the node is gone, or its method raised.
        """
        return self._ray.get(reference, timeout=timeout_s)

    def stream(self, number: int) -> Any:
        """References of what a worker says."""
        return self._node.messages.options(num_returns="streaming").remote(number)

    def keep(self, received: dict[str, bytes]) -> None:
        """Put files that a worker has left into the results folder of the run.

        Raises:
            RequestError: the system refuses.
        """
        with files.writing(self._results):
            for name, content in received.items():
                write_whole(self._results / name, content)


class Worker:
    """A worker on a node, with the face of `processes.Worker`."""

    def __init__(self, place: _Place, forks: bool, news: threading.Event) -> None:
        self.said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.ready, self.lost, self.exit = False, False, ""
        self._place, self._news = place, news
        self._number: int | None = None
        self._ending = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(forks,), daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether it is gone and everything that it said is in `said`."""
        return not self._reader.is_alive()

    def give(self, job: Job, where: Circumstances, code: ForeignCode | None) -> None:
        """Hand a job over; of a dead worker `ended` tells."""
        self._place.call("give", self._number, job, where, code)

    def end(self) -> None:
        """End the worker at once, with all that it started."""
        self._ending.set()
        if self._number is not None and self._reader.is_alive():
            with contextlib.suppress(Exception):  # the node is gone, or so slow that it counts so
                self._place.answer(self._place.call("end", self._number), _ANSWER_S)
            self._reader.join(timeout=_ANSWER_S)

    def _read(self, forks: bool) -> None:
        import ray

        try:
            self._place.prepared()
            self._number = self._place.answer(self._place.call("start", forks))
            if self._ending.is_set():
                self._place.call("end", self._number)
            for reference in self._place.stream(self._number):
                message = self._place.answer(reference)
                self._place.keep(message.pop("files", {}))
                self.exit = message.pop("how", self.exit)
                if message["kind"] != "exit":
                    self.said.put(message)
                    self._news.set()
        except RequestError as error:
            self.exit = str(error)
            self.said.put({"kind": "unable", "reason": str(error)})
        except ray.exceptions.RayActorError:
            self.lost, self.exit = True, f"the node {self._place.name} is gone"
        except ray.exceptions.RayError as error:
            self.exit = f"Ray: {first_line(error)}"
        finally:
            self._news.set()
