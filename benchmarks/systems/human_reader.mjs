// @vladmandic/human as a reader of single images; its protocol: environments.Reader.
//   node human_reader.mjs PACKAGES SENSITIVITY
import { box, detect, load, rgb } from './human.mjs';

const [packages, sensitivity] = process.argv.slice(2);
// As it comes it leaves out classes below .1, which a mean would miss.
const human = await load(packages, Number(sensitivity), { minConfidence: 0 });
console.log(JSON.stringify(human.version));

const chunks = process.stdin[Symbol.asyncIterator]();
let waiting = Buffer.alloc(0);
async function more() {
  const { value, done } = await chunks.next();
  if (done) process.exit();
  waiting = Buffer.concat([waiting, value]);
}
function take(size) {
  const taken = waiting.subarray(0, size);
  waiting = waiting.subarray(size);
  return taken;
}

for (;;) {
  while (!waiting.includes('\n')) await more();
  const [width, height] = take(waiting.indexOf('\n') + 1).toString().split(' ').map(Number);
  while (waiting.length < width * height * 3) await more();
  const faces = await detect(human, rgb(take(width * height * 3)), width, height);
  console.log(JSON.stringify(faces.map((face) => ({ box: box(face),
    scores: Object.fromEntries(face.emotion.map(({ emotion, score }) => [emotion, score])) }))));
}
