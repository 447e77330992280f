// Timelines and videos of this page, together: a click goes there, and a line shows where it is.
'use strict';
document.documentElement.classList.add('js');
for (const hint of document.querySelectorAll('.only-js')) hint.hidden = false;

// Some browsers do not move about in a video that stands in its address.
for (const source of document.querySelectorAll('video source')) {
  const [head, content] = source.src.split(',', 2);
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const video = source.parentElement;
  video.src = URL.createObjectURL(new Blob([bytes], {type: head.slice(5, head.indexOf(';'))}));
  source.remove();
}

function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  return seconds < 60 ? `${seconds.toFixed(2)} s`
    : `${Math.floor(tenths / 600)}:${(tenths % 600 / 10).toFixed(1).padStart(4, '0')}`;
}

function at(times, time) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= time) low = middle; else high = middle - 1;
  }
  return low;
}

for (const timeline of document.querySelectorAll('.timeline')) {
  const start = Number(timeline.dataset.start), end = Number(timeline.dataset.end);
  const span = Math.max(end - start, 0.001);
  const video = document.getElementById(timeline.dataset.video);
  const offset = Number(video.dataset.start);
  const line = timeline.querySelector('.now');
  const face = timeline.dataset.face;
  const data = face && JSON.parse(document.getElementById(`data-${face}`).textContent);
  const readout = face && document.getElementById(`readout-${face}`);

  function go(time) {
    const inside = Math.min(Math.max(time, start), end);
    video.currentTime = Math.min(Math.max(inside - offset, 0), (video.duration || 1e9) - 0.001);
    show(inside);
  }

  function show(time) {
    const there = time >= start - 0.001 && time <= end + 0.001;
    line.style.display = there ? 'block' : 'none';
    line.style.left = `${100 * (time - start) / span}%`;
    timeline.setAttribute('aria-valuenow', Math.min(Math.max(time, start), end).toFixed(2));
    let words = clock(time);
    if (data) {
      if (there) {
        const step = at(data.times, time);
        const label = LABELS[data.labels[step]];
        words = `${clock(time)}: ${label}, intensity ${data.intensities[step].toFixed(2)}`;
        readout.textContent = `${words}; ` + data.scores[step]
          .map((score, emotion) => `${LABELS[emotion]} ${score.toFixed(2)}`).join(', ');
      } else {
        readout.textContent = '';
      }
    }
    timeline.setAttribute('aria-valuetext', words);
  }

  timeline.tabIndex = 0;
  timeline.setAttribute('role', 'slider');
  timeline.setAttribute('aria-valuemin', start.toFixed(2));
  timeline.setAttribute('aria-valuemax', end.toFixed(2));
  timeline.addEventListener('click', (event) => {
    const box = timeline.getBoundingClientRect();
    go(start + span * (event.clientX - box.left) / box.width);
  });
  timeline.addEventListener('keydown', (event) => {
    const time = video.currentTime + offset, step = Math.max(span / 100, 0.04);
    const places = {
      ArrowLeft: time - step, ArrowRight: time + step, ArrowDown: time - step,
      ArrowUp: time + step, PageDown: time - 10 * step, PageUp: time + 10 * step,
      Home: start, End: end};
    if (event.key in places) {
      go(places[event.key]);
    } else if (event.key === ' ') {
      if (video.paused) video.play(); else video.pause();
    } else {
      return;
    }
    event.preventDefault();
  });
  const follow = () => show(video.currentTime + offset);
  for (const event of ['timeupdate', 'seeked', 'loadedmetadata']) {
    video.addEventListener(event, follow);
  }
  show(offset);
}
