// The peer sharp: downloads images, makes JPEGs of quality 80 of 720 and 256 pixels, writes them to a
// folder, and prints what it took as one line of JSON. `node collect.mjs URL COUNT FOLDER`, where the
// images are at URL/0.jpg and so on.
//
// Tuned: one thread of libvips for one core, no cache of operations, 32 images on their way. libvips
// shrinks while it decodes where it can, for each size of its own. The clock runs from the first request
// to the last file, so that starting Node.js counts nowhere.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";

const SIDES_PX = [720, 256];
const QUALITY = 80;
const AT_ONCE = 32;

const [url, countText, folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error("usage: collect.mjs URL COUNT FOLDER");
  process.exit(2);
}
const count = Number(countText);
sharp.concurrency(1);
sharp.cache(false);

async function collect(number) {
  const answer = await fetch(`${url}/${number}.jpg`);
  if (!answer.ok) {
    throw new Error(`image ${number}: status ${answer.status}`);
  }
  const source = sharp(Buffer.from(await answer.arrayBuffer()));
  const made = SIDES_PX.map(async (side) => {
    const resized = source.clone().resize(side, side, { fit: "inside", withoutEnlargement: true });
    const bytes = await resized.jpeg({ quality: QUALITY }).toBuffer();
    await writeFile(join(folder, `${number}-${side}.jpg`), bytes);
  });
  await Promise.all(made);
}

let next = 0;
let images = 0;
async function collectNext() {
  while (next < count) {
    await collect(next++);
    images += 1;
  }
}

const cpu = process.cpuUsage();
const wall = process.hrtime.bigint();
await Promise.all(Array.from({ length: AT_ONCE }, collectNext));
const used = process.cpuUsage(cpu);
const took = {
  cpu_s: (used.user + used.system) / 1e6,
  wall_s: Number(process.hrtime.bigint() - wall) / 1e9,
};
const peak_bytes = process.resourceUsage().maxRSS * 1024;
console.log(JSON.stringify({ images, took, peak_bytes }));
