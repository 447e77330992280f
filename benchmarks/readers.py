"""Rivals that tell the emotions in single images, each in a process of its own."""

import hashlib
import json
import subprocess

from environments import cache, clean_environment, command, SYSTEMS


class Reader:
    """A rival's own script, which answers one image after the other.

    The script begins with a line of JSON, its version. For each image it gets a line
    "WIDTH HEIGHT" and the raw BGR pixels, and answers with a line of JSON: a list of faces,
    {"box": [x, y, width, height], "scores": {its own name of a class: 0..1}}.

    What it said of a recording is kept in the cache folder, and not asked again until the rival's
    version, its script or the recording is another one.
    """

    def __init__(self, rival):
        self._rival, self._process = rival, None
        recipe = json.dumps(rival.install).encode() + (SYSTEMS / rival.reader).read_bytes()
        self._cache = cache() / 'answers' / rival.environment / _digest(recipe)
        self._cache.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()

    def answers(self, recording, rate, frames):
        """Return (version, [(stamp in ns, faces), ..]) of a recording.

        recording: its file.
        rate: frames a second, of which there are ...
        frames: (stamp in ns, uint8 [H,W,3] BGR).
        RuntimeError: the rival cannot be installed, or ended.
        """
        path = self._cache / f'{_digest(recording.read_bytes())}_{rate}.json'
        if not path.is_file():
            if not self._process:
                self._start()
            said = [(stamp_ns, self._read(image)) for stamp_ns, image in frames]
            path.write_text(json.dumps([self._version, said]) + '\n')
        return json.loads(path.read_text())

    def _start(self):
        start, further = command(self._rival, self._rival.reader)
        self._process = subprocess.Popen(
            [*start, *further],
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._version = self._answer()

    def _read(self, image):
        height, width = image.shape[:2]
        self._process.stdin.write(f'{width} {height}\n'.encode() + image.tobytes())
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f'{self._rival.reader} ended with {self._process.wait()}')
        return json.loads(line)


def _digest(content):
    return hashlib.sha256(content).hexdigest()[:16]
