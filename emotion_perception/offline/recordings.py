"""What there is to read: finds bags and videos in files and folders, and opens bags."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from emotion_perception.offline.storage import (
    BagError,
    in_time_order,
    McapFile,
    Message,
    open_storage,
    SqliteFile,
    Topic,
)
from emotion_perception.videos import SUFFIXES

_STORAGE = ('.mcap', '.db3', '.mcap.zstd', '.db3.zstd')


@dataclass(frozen=True)
class Recording:
    """A bag or a video that was found."""

    name: str  #: of its results; with / where it was found in a folder below
    paths: tuple[Path, ...]  #: the files of a bag, or the video
    problem: str = ''  #: why it cannot be opened, where that is known before; then a folder

    @property
    def is_video(self) -> bool:
        """Whether it is a video rather than a bag."""
        return not self.problem and not _is_storage(self.paths[0])

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(path.stat().st_size for path in self.paths)


def find_recordings(places: Iterable[Path], leave_out: Path | None = None) -> list[Recording]:
    """Find bags and videos.

    A file is one recording. A folder with metadata.yaml, or with files of its own name and a
    number (``run/run_0.mcap``), is one bag. Any other folder is searched, also below; what
    cannot be read there is a recording with a problem.

    :param leave_out: a folder that is not searched.
    :raises BagError: when a place does not exist, holds nothing, or is a bag of ROS 1, or when
        two recordings have the same name.
    """
    found = []
    for place in places:
        if not place.exists():
            raise BagError(f'{place}: no such file or folder')
        if place.is_file():
            found.append(_of_file(place, place.name))
        elif pieces := _pieces(place):
            found.append(Recording(place.resolve().name, pieces))
        else:
            below = list(_search(place, '', leave_out and leave_out.resolve()))
            if not below:
                raise BagError(
                    f'{place}: holds no bag ({", ".join(_STORAGE)}) and no video '
                    f'({", ".join(SUFFIXES)})'
                )
            found += below
    return _named_apart(found)


def find_recording(place: Path) -> Recording:
    """Find the one bag or video that a place is.

    :raises BagError: as of :func:`find_recordings`, and where there are several.
    """
    found = find_recordings([place])
    if len(found) > 1:
        raise BagError(f'{place} holds {len(found)} recordings, expected one')
    if found[0].problem:
        raise BagError(found[0].problem)
    return found[0]


def _search(folder: Path, prefix: str, leave_out: Path | None) -> Iterator[Recording]:
    for path in _visible(folder):
        name = prefix + path.name
        try:
            if path.is_dir() and path.resolve() != leave_out:
                if pieces := _pieces(path):
                    yield Recording(name, pieces)
                else:
                    yield from _search(path, f'{name}/', leave_out)
            elif path.name.lower().endswith((*_STORAGE, *SUFFIXES)):
                yield _of_file(path, name)
        except BagError as error:
            yield Recording(name, (path,), str(error))
        except OSError as error:  # without permission, as lost+found
            yield Recording(name, (path,), f'{path}: {error.strerror}')


def _of_file(path: Path, name: str) -> Recording:
    if path.suffix == '.bag':
        raise BagError(f'{path}: is a bag of ROS 1; rosbags-convert makes one of ROS 2 of it')
    return Recording(name, (path,))


def _pieces(folder: Path) -> tuple[Path, ...]:
    """Give the files of the bag that a folder is, or nothing when it is none."""
    files = [path for path in _visible(folder) if path.is_file() and _is_storage(path)]
    if (folder / 'metadata.yaml').exists():
        if not files:
            raise BagError(f'{folder}: has a metadata.yaml, but no {" or ".join(_STORAGE)}')
        return tuple(files)
    own = [
        path
        for path in files
        if path.name.partition('.')[0].rpartition('_')[0] == folder.resolve().name
    ]
    return tuple(files) if files and own == files else ()


def _visible(folder: Path) -> list[Path]:
    """List what a folder holds but hidden files, such as ``._NAME``, which macOS leaves.

    Of a file and the same one packed, it lists the first.
    """
    names = {path.name for path in folder.iterdir()}
    return sorted(
        folder / name
        for name in names
        if not name.startswith('.')
        and not (name.endswith('.zstd') and name.removesuffix('.zstd') in names)
    )


def _is_storage(path: Path) -> bool:
    return path.name.endswith(_STORAGE)


def _named_apart(recordings: list[Recording]) -> list[Recording]:
    """Drop the endings of names, except where this would make two names one."""
    # In UTF-8: all that is written of them is.
    recordings = [
        replace(r, name=r.name.encode(errors='backslashreplace').decode()) for r in recordings
    ]
    short = [_without_ending(recording.name) for recording in recordings]
    named = [
        replace(recording, name=name if short.count(name) == 1 else recording.name)
        for name, recording in zip(short, recordings)
    ]
    taken: dict[str, Recording] = {}
    for recording in named:
        if other := taken.get(recording.name):
            raise BagError(
                f'{other.paths[0]} and {recording.paths[0]} have the same name, and so '
                'would their results: process them with different -o, or rename one'
            )
        taken[recording.name] = recording
    return named


def _without_ending(name: str) -> str:
    return next(
        (
            name[: -len(ending)]
            for ending in (*_STORAGE, *SUFFIXES)
            if name.lower().endswith(ending)
        ),
        name,
    )


class Bag:
    """An open bag, which may consist of several files; ``with Bag(paths) as bag`` closes it.

    :raises BagError: when none of the files can be read.
    """

    def __init__(self, paths: Collection[Path]) -> None:
        self._stack = ExitStack()
        self._files: list[McapFile | SqliteFile] = []
        damages = []
        for path in paths:
            try:
                file = open_storage(self._unpacked(path))
            except BagError as error:
                damages.append(str(error))
                continue
            self._stack.callback(file.close)
            self._files.append(file)
            damages += [file.damage] * bool(file.damage)
        #: What is wrong with it although it can be read, in words; '' for nothing.
        self.damage = '; '.join(damages)
        if not self._files:
            raise BagError(self.damage)
        #: By name.
        self.topics: dict[str, Topic] = {}
        for file in self._files:
            for topic in file.topics.values():
                before = self.topics.get(topic.name)
                self.topics[topic.name] = replace(
                    before or topic, count=topic.count + (before.count if before else 0)
                )

    def __enter__(self) -> 'Bag':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        self._stack.close()

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Give the messages of some topics by log time.

        :raises BagError: where a file is damaged.
        """
        return in_time_order(
            (file.start, partial(file.messages, topics))
            for file in self._files
            if file.start is not None
        )

    def _unpacked(self, path: Path) -> Path:
        """Undo the compression of a whole file."""
        if path.suffix != '.zstd':
            return path
        folder = self._stack.enter_context(TemporaryDirectory())
        unpacked = Path(folder) / path.stem
        try:
            with path.open('rb') as packed, unpacked.open('wb') as file:
                zstandard.ZstdDecompressor().copy_stream(packed, file)
        except zstandard.ZstdError as error:
            raise BagError(f'{path}: cannot be unpacked: {error}') from error
        return unpacked
