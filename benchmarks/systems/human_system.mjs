// @vladmandic/human; harness.py in JavaScript:
//   node human_system.mjs FRAMES WIDTH HEIGHT THREADS RESULTS PACKAGES SENSITIVITY
import fs from 'fs';
import { performance } from 'perf_hooks';
import { setTimeout } from 'timers/promises';
import { box, detect, load, rgb } from './human.mjs';

const [frames, width, height, , results, packages, sensitivity] = process.argv.slice(2);
const PERIOD = 1000 / 30;
const WARM_UP = 30;

const human = await load(packages, Number(sensitivity));
const size = width * height * 3;
const video = fs.readFileSync(frames);
const ms = [];
const faces = [];
let cpu = 0;
const seconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
let untimed = 0;
const start = performance.now();
for (let number = 0; number < video.length / size; number += 1) {
  if (number === WARM_UP) { cpu = seconds(); untimed = 0; }
  const before = seconds();
  const image = rgb(video.subarray(number * size, (number + 1) * size));
  untimed += seconds() - before;
  await setTimeout(Math.max(start + number * PERIOD - performance.now(), 0));
  const begin = performance.now();
  const found = await detect(human, image, Number(width), Number(height));
  const end = performance.now();
  if (number >= WARM_UP) {
    ms.push(end - begin);
    faces.push(found.map((face) => [null, ...box(face)]));
  }
}
cpu = seconds() - cpu - untimed;
fs.writeFileSync(results, JSON.stringify(
  { version: human.version, first: WARM_UP, ms, cpu_s: cpu / ms.length, faces }));
