"""Worker processes of this machine, for `-- --direct_running_mode=multi_processing`. They are watched, and none
outlives the run.

Beam's own handler (2.77) starts a worker through a shell. A signal kills the shell and not the worker, and the handler
waits forever for a dead worker. Here, the death of one worker ends the run at once: the other workers are stopped,
every request is answered with an error, and the run fails with a message about the death. Finished tasks are stored,
and unfinished files have no name yet.

If a worker is stopped (SIGSTOP), the run waits and prints a warning, because the worker can be continued without loss.
There is no time-out for workers: a task may wait for hours for a model or a disk, and the next run would kill it again.
Ctrl-C ends a run.

A worker's standard input is a pipe that this process holds open. A worker ends when the pipe is closed, so none
outlives a killed parent (`corpusmill.pipelines.runners.worker`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    BeamFnControlServicer,
    GrpcWorkerHandler,
    SubprocessSdkWorkerHandler,
    WorkerHandler,
)
from apache_beam.transforms.environments import SubprocessSDKEnvironment
from google.protobuf import json_format, text_format

GRACE = 10.0
"""Seconds for a worker to end by itself, and for its death to be noticed after its connection broke."""

_MEMORY = "Mostly the machine is out of memory: use fewer --workers, or set a lower output.shard_bytes."
_CRASH = "A native library crashed; what it said stands above."
_ENDED = "What it said stands above."

_log = logging.getLogger(__name__)
_crews: dict[bytes, Crew] = {}


class Crew:
    """The worker processes of one run. A context manager: after it, none is left.

    death: the message about the first worker that died, or None.
    """

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex
        self.death: str | None = None
        self._workers: list[Worker] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Crew:
        _crews[self.name.encode()] = self
        return self

    def __exit__(self, *error: object) -> None:
        del _crews[self.name.encode()]
        for worker in self._workers:
            worker.end()

    @property
    def environment(self) -> SubprocessSDKEnvironment:
        """The environment that makes Beam's runner take its workers from this crew."""
        return SubprocessSDKEnvironment.from_command_string(self.name)

    def join(self, worker: Worker) -> None:
        """Add a worker."""
        with self._lock:
            self._workers.append(worker)

    def died(self, pid: int, status: int) -> None:
        """Record that a worker died unexpectedly, and stop the others."""
        with self._lock:
            self.death = self.death or death_message(pid, status)
            workers = list(self._workers)
        for worker in workers:
            worker.give_up(self.death)


def death_message(pid: int, status: int) -> str:
    """One sentence about a dead process. status: as `subprocess` gives it, negative for a signal.

    >>> death_message(7, -9)
    'the worker process 7 was killed (SIGKILL). Mostly the machine is out of memory: use fewer --workers, or ...'
    >>> death_message(7, 3)
    'the worker process 7 ended with status 3. What it said stands above.'
    """
    if status >= 0:
        return f"the worker process {pid} ended with status {status}. {_ENDED}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-status).name
        advice = {"SIGKILL": _MEMORY, "SIGSEGV": _CRASH, "SIGABRT": _CRASH, "SIGBUS": _CRASH, "SIGILL": _CRASH}
        return f"the worker process {pid} was killed ({name}). {advice.get(name, '')}".rstrip()
    return f"the worker process {pid} was killed (signal {-status})."


@WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)
def _handler(payload: bytes, *beam: Any) -> GrpcWorkerHandler:
    """A crew's worker, or Beam's own for a pipeline that is not ours."""
    crew = _crews.get(payload)
    return Worker(crew, *beam) if crew else SubprocessSdkWorkerHandler(payload, *beam)


class Worker(GrpcWorkerHandler):  # type: ignore[misc]
    """One worker process, as Beam's runner sees it."""

    def __init__(self, crew: Crew, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(state, provision_info, grpc_server)
        self._crew = crew
        self._process: subprocess.Popen[bytes] | None = None
        self._gone = threading.Event()
        """Set when the process has ended, and its crew knows about an unexpected death."""
        self._asked = False
        """Whether the worker was asked to end."""
        self._error: str | None = None
        control, data = self.control_conn, self.data_conn
        self._push = control.push
        control.push = self._ask
        control._read_thread = threading.Thread(target=_quiet(control._read), name="beam_control_read", daemon=True)
        read = data._read_inputs
        data._read_inputs = _quiet(lambda elements: read(self._until_gone(elements)))

    def start_worker(self) -> None:
        """Start the process, and watch it."""
        address = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        there = {
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(address),
            "PIPELINE_OPTIONS": json_format.MessageToJson(self.provision_info.provision_info.pipeline_options),
            "WORKER_ID": self.worker_id,
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),  # the same code as in this process
        }
        # a session of its own: Ctrl-C reaches only this process, which ends the worker
        self._process = subprocess.Popen(
            [sys.executable, "-m", "corpusmill.pipelines.runners.worker"],
            stdin=subprocess.PIPE,
            env={**os.environ, **there},
            start_new_session=True,
        )
        self._crew.join(self)
        threading.Thread(target=self._watch, args=(self._process,), name="worker_watch", daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        _tell_stops(process.pid)
        status = process.wait()
        _kill_group(process.pid)  # processes that its steps have started
        if not self._asked:
            self._crew.died(process.pid, status)
        self._gone.set()

    def give_up(self, error: str) -> None:
        """Stop the process, and answer every open or later request with an error."""
        self._asked, self._error = True, error
        self._kill()
        self._answer(error)

    def _ask(self, request: Any) -> Any:
        future = self._push(request)
        if self._error:  # checked after the request is registered, so that every request is answered
            self._answer(self._error)
        return future

    def _answer(self, error: str) -> None:
        waiting = self.control_conn._futures_by_id
        for name in list(waiting):
            future = waiting.pop(name, None)
            if future is not None:
                future.set(beam_fn_api_pb2.InstructionResponse(instruction_id=name, error=error))

    def _until_gone(self, elements: Iterator[Any]) -> Iterator[Any]:
        """Yield responses of the worker. Raise about a broken connection only when the reason is known."""
        try:
            yield from elements
        except grpc.RpcError:
            self._gone.wait(GRACE)
            raise

    def close(self) -> None:
        """End the process. An idle worker ends by itself; a busy one is killed at once."""
        self._asked = True
        idle = self.control_conn._state == BeamFnControlServicer.STARTED_STATE and not self.control_conn._futures_by_id
        if not idle:
            self._kill()
        late = threading.Timer(GRACE, self._kill)
        late.daemon = True
        late.start()
        try:
            super().close()
        finally:
            late.cancel()

    def stop_worker(self) -> None:
        """Wait for its end."""
        if self._process is not None:
            self._gone.wait()

    def end(self) -> None:
        """Make sure that the process has ended."""
        self._asked = True
        self._kill()
        if self._process is not None:
            self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            _kill_group(self._process.pid)


def _tell_stops(pid: int) -> None:
    """Print when a process is stopped and continued; returns at its end and leaves its status to `wait`."""
    if not hasattr(os, "waitid"):  # macOS
        return
    with contextlib.suppress(ChildProcessError):  # `wait` took the status meanwhile
        while found := os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOWAIT):
            if found.si_code == os.CLD_STOPPED:
                _log.warning(
                    "The worker process %d was stopped (%s), and the run waits for it. `kill -CONT %d` lets it go on; Ctrl-C "
                    "ends the run, and the same command goes on.",
                    *(pid, signal.Signals(found.si_status).name, pid),
                )
                os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
            elif found.si_code == os.CLD_CONTINUED:
                _log.warning("The worker process %d goes on.", pid)
                os.waitid(os.P_PID, pid, os.WCONTINUED | os.WNOHANG)
            else:
                return


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _quiet(read: Callable[..., None]) -> Callable[..., None]:
    """`read` without tracebacks about broken connections and late responses of a dying worker. The death itself is
    reported."""

    def reading(*args: Any) -> None:
        with contextlib.suppress(grpc.RpcError, KeyError):
            read(*args)

    return reading
