// @vladmandic/human in Node.js on its WebAssembly backend, as human_system.mjs and
// human_reader.mjs run it. Its other backend for Node.js, tfjs-node, downloads a binary when it is
// installed.
import fs from 'fs';
import { createRequire } from 'module';

const SCALE = 1.4; // its own default, by which its boxes are larger than the faces found

// Loads it from a folder of packages. sensitivity is its cacheSensitivity: 0 makes it detect and
// classify in every frame; with .7, as it comes, detections and emotions are used again for up to
// 2.5 and 1.5 seconds. emotion: further settings of its emotions.
export async function load(packages, sensitivity, emotion = {}) {
  // It loads its weights with fetch, which does not read files.
  globalThis.fetch = async (url) => new Response(fs.readFileSync(new URL(url)));
  const require = createRequire(import.meta.url);
  const { Human } = require(`${packages}/@vladmandic/human/dist/human.node-wasm.js`);
  const human = new Human({
    backend: 'wasm',
    wasmPath: `${packages}/@tensorflow/tfjs-backend-wasm/dist/`,
    modelBasePath: `file://${packages}/@vladmandic/human/models/`,
    cacheSensitivity: sensitivity,
    face: { detector: { maxDetected: 10, scale: SCALE }, iris: { enabled: false },
      description: { enabled: false }, emotion: { enabled: true, ...emotion } },
    body: { enabled: false }, hand: { enabled: false }, gesture: { enabled: false },
  });
  await human.load();
  return human;
}

// Copies a BGR image into one of RGB.
export function rgb(bgr) {
  const image = Uint8Array.from(bgr);
  for (let i = 0; i < image.length; i += 3) [image[i], image[i + 2]] = [image[i + 2], image[i]];
  return image;
}

// Returns the faces in an RGB image.
export async function detect(human, image, width, height) {
  const tensor = human.tf.tensor(image, [1, height, width, 3], 'float32');
  const result = await human.detect(tensor);
  human.tf.dispose(tensor);
  return result.face;
}

// Returns a face's box, [x, y, width, height], as large as it was found.
export function box({ box: [x, y, w, h] }) {
  return [x + w * (1 - 1 / SCALE) / 2, y + h * (1 - 1 / SCALE) / 2, w / SCALE, h / SCALE];
}
