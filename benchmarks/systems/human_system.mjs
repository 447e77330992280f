// @vladmandic/human in Node.js on its WebAssembly backend; harness.py in JavaScript:
//   node human_system.mjs FRAMES WIDTH HEIGHT THREADS RESULTS PACKAGES SENSITIVITY
// SENSITIVITY is its cacheSensitivity: 0 makes it detect and classify in every frame, as the others
// do; with .7, as it comes, detections and emotions are used again for up to 2.5 and 1.5 seconds.
// Its other backend for Node.js, tfjs-node, downloads a binary when it is installed.
import fs from 'fs';
import { createRequire } from 'module';
import { performance } from 'perf_hooks';
import { setTimeout } from 'timers/promises';

const [frames, width, height, , results, packages, sensitivity] = process.argv.slice(2);
const PERIOD = 1000 / 30;
const WARM_UP = 30;
const SCALE = 1.4; // its own default, by which its boxes are larger than the faces found

// It loads its weights with fetch, which does not read files.
globalThis.fetch = async (url) => new Response(fs.readFileSync(new URL(url)));
const require = createRequire(import.meta.url);
const { Human } = require(`${packages}/@vladmandic/human/dist/human.node-wasm.js`);
const human = new Human({
  backend: 'wasm',
  wasmPath: `${packages}/@tensorflow/tfjs-backend-wasm/dist/`,
  modelBasePath: `file://${packages}/@vladmandic/human/models/`,
  cacheSensitivity: Number(sensitivity),
  face: { detector: { maxDetected: 10, scale: SCALE }, iris: { enabled: false },
    description: { enabled: false }, emotion: { enabled: true } },
  body: { enabled: false }, hand: { enabled: false }, gesture: { enabled: false },
});
await human.load();

const size = width * height * 3;
const video = fs.readFileSync(frames);
const ms = [];
const faces = [];
let cpu = 0;
const seconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const unscaled = ([x, y, w, h]) => [x + w * (1 - 1 / SCALE) / 2, y + h * (1 - 1 / SCALE) / 2,
  w / SCALE, h / SCALE];
let untimed = 0;
const start = performance.now();
for (let number = 0; number < video.length / size; number += 1) {
  if (number === WARM_UP) { cpu = seconds(); untimed = 0; }
  const before = seconds();
  const image = Uint8Array.from(video.subarray(number * size, (number + 1) * size));
  for (let i = 0; i < size; i += 3) [image[i], image[i + 2]] = [image[i + 2], image[i]];
  untimed += seconds() - before;
  await setTimeout(Math.max(start + number * PERIOD - performance.now(), 0));
  const begin = performance.now();
  const tensor = human.tf.tensor(image, [1, Number(height), Number(width), 3], 'float32');
  const result = await human.detect(tensor);
  human.tf.dispose(tensor);
  const end = performance.now();
  if (number >= WARM_UP) {
    ms.push(end - begin);
    faces.push(result.face.map((face) => [null, ...unscaled(face.box)]));
  }
}
cpu = seconds() - cpu - untimed;
fs.writeFileSync(results, JSON.stringify(
  { version: human.version, first: WARM_UP, ms, cpu_s: cpu / ms.length, faces }));
