"""Many recordings: over the cores of this machine, or over a Dask cluster."""

from collections.abc import Callable, Iterator
from concurrent.futures import as_completed, ThreadPoolExecutor
from dataclasses import replace
import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
import signal

import cv2

from emotion_perception.offline.processing import Outcome, process, Settings
from emotion_perception.offline.recordings import Recording


def process_here(
    recordings: list[Recording], settings: Settings, jobs: int, progress: Callable[[int, int], None]
) -> Iterator[Outcome]:
    """Process each recording in a process of its own, some at once.

    A recording that brings its process down brings down nothing else.

    :param jobs: how many at once; each takes one core.
    :param progress: as of process(), called from several threads.
    :return: the outcomes, in the order in which they come.
    """
    children: list[SpawnProcess] = []  # that run
    with ThreadPoolExecutor(jobs) as pool:
        work = [
            pool.submit(_supervised, recording, _alone(settings), progress, children)
            for recording in recordings
        ]
        try:
            for done in as_completed(work):
                yield done.result()
        except BaseException:  # Ctrl-C, or the caller wants no more
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(children):
                if child.is_alive():
                    child.terminate()
            raise


def process_on_cluster(
    recordings: list[Recording],
    settings: Settings,
    address: str,
) -> Iterator[Outcome]:
    """Process recordings on the workers of a Dask cluster, which see the same files.

    Where a worker dies, Dask gives its recording to another, three times at most.

    :param address: of the scheduler, such as ``tcp://host:8786``.
    :return: the outcomes, in the order in which they come.
    :raises OSError: when nothing answers there.
    """
    # A large library, which runs on one machine do without.
    import distributed

    try:
        scheduler = distributed.Client(address)
    except (OSError, ValueError) as problem:  # nothing answers, or it is no address
        raise OSError(f'no Dask scheduler at {address}: {problem}') from problem
    with scheduler as client:
        names = {
            client.submit(process, recording, _alone(settings), pure=False): recording.name
            for recording in recordings
        }
        for future in distributed.as_completed(names):
            if error := future.exception():
                yield Outcome(names[future], error=f'{type(error).__name__}: {error}')
            else:
                yield future.result()


def _alone(settings: Settings) -> Settings:
    """Give each recording one core: that is faster than sharing them."""
    return replace(settings, options=settings.options | {'threads': 1})


def _supervised(
    recording: Recording,
    settings: Settings,
    progress: Callable[[int, int], None],
    children: list[SpawnProcess],
) -> Outcome:
    """Run one recording in a child process."""
    context = multiprocessing.get_context('spawn')
    try:
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(recording, settings, sender))
        child.start()
    except OSError as error:
        reason = error.strerror or error
        return Outcome(recording.name, error=f'its process did not start: {reason}')
    children.append(child)
    sender.close()
    outcome = None
    try:
        while True:
            received = receiver.recv()
            if isinstance(received, Outcome):
                outcome = received
            else:
                progress(*received)
    except EOFError:
        child.join()
        children.remove(child)  # two open files of it end with the last reference
    if outcome is None:
        code = child.exitcode or 0
        how = f'signal {-code}' if code < 0 else f'exit code {code}'
        outcome = Outcome(recording.name, error=f'its process ended with {how}')
    return outcome


def _child(recording: Recording, settings: Settings, sender: Connection) -> None:
    # Ctrl-C of a terminal reaches all processes; the first one passes it on, as SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cv2.setNumThreads(1)
    try:
        # Where nobody listens any more, this ends the child, too.
        sender.send(process(recording, settings, lambda *news: sender.send(news)))
    except (KeyboardInterrupt, BrokenPipeError):
        raise SystemExit(130) from None
